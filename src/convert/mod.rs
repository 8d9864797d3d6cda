//! Notebooks in other forms.

pub mod html;
