//! Notebooks in the database: what is known about a file in the notebooks root beyond its bytes.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Database, from_json, lost, micros, on, returned, timestamp, to_json};
use crate::error::{Error, Result};

/// A notebook to be recorded.
#[derive(Debug, Clone, Default)]
pub struct NewNotebook {
    /// Relative to the notebooks root.
    pub path: String,
    /// A title for people.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// Whose it is.
    pub username: Option<String>,
    /// The template that it was made from.
    pub template_name: Option<String>,
    /// The parameters bound at creation.
    pub parameters: Map<String, Value>,
    /// Free words to find it by.
    pub tags: Vec<String>,
}

/// A change of a recorded notebook; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct NotebookChange {
    /// See [`NewNotebook::title`].
    pub title: Option<String>,
    /// See [`NewNotebook::description`].
    pub description: Option<String>,
    /// See [`NewNotebook::username`].
    pub username: Option<String>,
    /// See [`NewNotebook::tags`].
    pub tags: Option<Vec<String>>,
}

/// A recorded notebook.
#[derive(Debug, Clone)]
pub struct NotebookRecord {
    /// Its id.
    pub id: i64,
    /// What was recorded.
    pub notebook: NewNotebook,
    /// When it was recorded.
    pub created_at: Timestamp,
    /// When the record last changed.
    pub updated_at: Timestamp,
}

impl Database {
    /// Records a notebook; one that is recorded already under the same path is replaced and keeps its id.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn upsert_notebook(&self, notebook: &NewNotebook, now: Timestamp) -> Result<NotebookRecord> {
        let (parameters, tags) = (to_json(&notebook.parameters)?, to_json(&notebook.tags)?);
        let rows = on!(self, pool => sqlx::query_as::<_, NotebookRow>(
            "INSERT INTO notebooks (path, title, description, username, template_name, parameters, tags, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) \
             ON CONFLICT (path) DO UPDATE SET title = excluded.title, description = excluded.description, \
             username = excluded.username, template_name = excluded.template_name, parameters = excluded.parameters, \
             tags = excluded.tags, updated_at = excluded.updated_at RETURNING *",
        )
        .bind(&notebook.path)
        .bind(&notebook.title)
        .bind(&notebook.description)
        .bind(&notebook.username)
        .bind(&notebook.template_name)
        .bind(&parameters)
        .bind(&tags)
        .bind(micros(now))
        .fetch_all(pool).await)
        .map_err(lost)?;
        let row = returned(rows).ok_or_else(|| Error::internal("the database gave a notebook no id"))?;
        row.read()
    }

    /// One notebook.
    ///
    /// # Errors
    /// `NotFound` when there is none with this id.
    pub async fn notebook(&self, id: i64) -> Result<NotebookRecord> {
        let row = on!(self, pool => sqlx::query_as::<_, NotebookRow>("SELECT * FROM notebooks WHERE id = $1").bind(id).fetch_optional(pool).await);
        row.map_err(lost)?.map(NotebookRow::read).transpose()?.ok_or_else(|| absent(id))
    }

    /// The notebook recorded under `path`, if there is one.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn notebook_at(&self, path: &str) -> Result<Option<NotebookRecord>> {
        let row = on!(self, pool => sqlx::query_as::<_, NotebookRow>("SELECT * FROM notebooks WHERE path = $1")
            .bind(path)
            .fetch_optional(pool).await);
        row.map_err(lost)?.map(NotebookRow::read).transpose()
    }

    /// Notebooks with an id above `after`, in order of id, at most `limit`; of one user when named.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn list_notebooks(
        &self,
        username: Option<&str>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<NotebookRecord>> {
        on!(self, pool => sqlx::query_as::<_, NotebookRow>(
            "SELECT * FROM notebooks WHERE ($1 IS NULL OR username = $1) AND id > $2 ORDER BY id LIMIT $3",
        )
        .bind(username)
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(pool).await)
        .map_err(lost)?
        .into_iter()
        .map(NotebookRow::read)
        .collect()
    }

    /// Changes a notebook's record.
    ///
    /// # Errors
    /// `NotFound` when there is none with this id.
    pub async fn update_notebook(
        &self,
        id: i64,
        change: &NotebookChange,
        now: Timestamp,
    ) -> Result<NotebookRecord> {
        let tags = change.tags.as_ref().map(to_json).transpose()?;
        let rows = on!(self, pool => sqlx::query_as::<_, NotebookRow>(
            "UPDATE notebooks SET title = coalesce($1, title), description = coalesce($2, description), \
             username = coalesce($3, username), tags = coalesce($4, tags), updated_at = $5 WHERE id = $6 RETURNING *",
        )
        .bind(&change.title)
        .bind(&change.description)
        .bind(&change.username)
        .bind(&tags)
        .bind(micros(now))
        .bind(id)
        .fetch_all(pool).await);
        returned(rows.map_err(lost)?).map(NotebookRow::read).transpose()?.ok_or_else(|| absent(id))
    }

    /// Forgets a notebook's record; the file stays.
    ///
    /// # Errors
    /// `NotFound` when there is none with this id.
    pub async fn delete_notebook(&self, id: i64) -> Result<()> {
        let done = on!(self, pool => sqlx::query("DELETE FROM notebooks WHERE id = $1").bind(id).execute(pool).await.map(|done| done.rows_affected()));
        if done.map_err(lost)? == 0 { Err(absent(id)) } else { Ok(()) }
    }
}

fn absent(id: i64) -> Error {
    Error::not_found(format!("there is no notebook {id}"))
}

/// One row as it is stored.
#[derive(sqlx::FromRow)]
struct NotebookRow {
    id: i64,
    path: String,
    title: String,
    description: String,
    username: Option<String>,
    template_name: Option<String>,
    parameters: String,
    tags: String,
    created_at: i64,
    updated_at: i64,
}

impl NotebookRow {
    fn read(self) -> Result<NotebookRecord> {
        Ok(NotebookRecord {
            id: self.id,
            notebook: NewNotebook {
                path: self.path,
                title: self.title,
                description: self.description,
                username: self.username,
                template_name: self.template_name,
                parameters: from_json(&self.parameters)?,
                tags: from_json(&self.tags)?,
            },
            created_at: timestamp(self.created_at),
            updated_at: timestamp(self.updated_at),
        })
    }
}
