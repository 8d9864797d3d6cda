//! What Bindery can do, one file per noun.

pub mod kernels;
