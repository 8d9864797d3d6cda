//! Configuration: flags, then `BINDERY_*` environment variables, then `bindery.toml`, then defaults.
//!
//! [`Settings`] is what may be said, in any of the three places under the same names; [`Config`] is what it
//! means, with every default filled in and every path absolute.

mod addresses;
mod file;
mod gateways;
mod limits;
mod mask;
mod print;
mod root;
mod store;
mod units;
mod warm;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, CommandFactory, FromArgMatches};
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::execution::Limits;
pub use gateways::{GatewaySettings, KernelGatewayConfig, TOKEN_VARIABLES, TokenSource, gateway_address};
pub use mask::mask_url;
pub use root::NotebooksRootConfig;
pub use store::TemplateStoreConfig;
pub use units::{ByteSize, Seconds};
pub use warm::{WarmKernels, WarmList};

/// The configuration file that is read when no other is named.
pub const CONFIG_FILE: &str = "bindery.toml";

macro_rules! settings {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty = $env:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, Args, Deserialize)]
        #[serde(default, rename_all = "kebab-case")]
        pub struct $name {
            $($(#[$field_meta])* #[arg(long, env = $env, hide_env_values = true)] pub $field: Option<$type>,)*
        }

        impl $name {
            /// What is said here, and where nothing is said, what `other` says.
            fn or(self, other: Self) -> Self {
                Self { $($field: self.$field.or(other.$field),)* }
            }
        }
    };
}

settings! {
    /// Where Bindery keeps what it owns.
    DataSettings {
        /// Folder for the database, kernel environments, journals, and by default templates and notebooks
        /// [default: ./bindery-data]
        #[arg(value_name = "DIR")]
        data_dir: PathBuf = "BINDERY_DATA_DIR",
    }
}

settings! {
    /// The template store.
    StoreSettings {
        /// Template store: a folder, or `s3://BUCKET` [default: the folder `templates` in the data dir]
        #[arg(value_name = "DIR|s3://BUCKET")]
        template_store: String = "BINDERY_TEMPLATE_STORE",
        /// Address of the S3 or MinIO server, such as http://127.0.0.1:9000 [default: AWS]
        #[arg(value_name = "URL")]
        s3_endpoint: String = "BINDERY_S3_ENDPOINT",
        /// Address of the same server as clients see it, for download links [default: --s3-endpoint]
        #[arg(value_name = "URL")]
        s3_public_endpoint: String = "BINDERY_S3_PUBLIC_ENDPOINT",
        /// Largest notebook that is accepted, such as 50MB [default: 50MB]
        #[arg(value_name = "SIZE")]
        max_notebook_size: ByteSize = "BINDERY_MAX_NOTEBOOK_SIZE",
    }
}

settings! {
    /// The service: database, notebooks, workers, and the systems beside it.
    ServiceSettings {
        /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:8002]
        #[arg(value_name = "HOST:PORT")]
        listen: SocketAddr = "BINDERY_LISTEN",
        /// Address of this service as its clients see it, such as `https://bindery.example.org`, for links in answers
        /// [default: what the client's request says]
        #[arg(value_name = "URL")]
        public_url: String = "BINDERY_PUBLIC_URL",
        /// Database: `sqlite:PATH`, or `postgres://USER:PASSWORD@HOST/DATABASE` for workers on many machines
        /// [default: sqlite:DATA_DIR/bindery.db]
        #[arg(value_name = "URL")]
        database_url: String = "BINDERY_DATABASE_URL",
        /// The only tree in which the service reads and writes user notebooks: a folder, or a place in an object store
        /// (gs:// and abs:// too) [default: the folder `notebooks` in the data dir]
        #[arg(value_name = "DIR|s3://BUCKET/PREFIX")]
        notebooks_root: PathBuf = "BINDERY_NOTEBOOKS_ROOT",
        /// Executions at the same time [default: the number of processors]
        #[arg(value_name = "N")]
        workers: usize = "BINDERY_WORKERS",
        /// Kernels that are kept ready, such as `python3=2,mlflow_kernel=1`; empty for none [default: python3=1]
        #[arg(value_name = "NAME=N,…")]
        warm: WarmList = "BINDERY_WARM",
        /// Memory that ready kernels may take together, such as 2GiB [default: a quarter of this machine's]
        #[arg(value_name = "SIZE")]
        warm_memory: ByteSize = "BINDERY_WARM_MEMORY",
        /// What a notebook may put out while it runs, what it clears again not counted, such as 500MB [default: 500MB]
        #[arg(value_name = "SIZE")]
        max_output_size: ByteSize = "BINDERY_MAX_OUTPUT_SIZE",
        /// Address of the users' Jupyter, for `notebook_url` [default: http://127.0.0.1:8000]
        #[arg(value_name = "URL")]
        jupyter_base_url: String = "BINDERY_JUPYTER_BASE_URL",
        /// How `notebook_url` is made; `{base}`, `{username}` and `{path}` are filled in
        /// [default: {base}/user/{username}/lab/tree/{path}]
        #[arg(value_name = "TEMPLATE")]
        jupyter_url_template: String = "BINDERY_JUPYTER_URL_TEMPLATE",
        /// MLflow tracking server; without it nothing is recorded in MLflow
        #[arg(value_name = "URL")]
        mlflow_tracking_uri: String = "BINDERY_MLFLOW_TRACKING_URI",
        /// Address of the same MLflow as people's browsers see it, for links [default: --mlflow-tracking-uri]
        #[arg(value_name = "URL")]
        mlflow_public_uri: String = "BINDERY_MLFLOW_PUBLIC_URI",
        /// Executions at the same time over all workers, the same number for each of them [default: no limit]
        #[arg(value_name = "N")]
        max_running: usize = "BINDERY_MAX_RUNNING",
        /// Executions of one user at the same time over all workers; the others of the user wait [default: no limit]
        #[arg(value_name = "N")]
        max_running_per_user: usize = "BINDERY_MAX_RUNNING_PER_USER",
        /// How long the result of a run is tried to be saved where that fails, before the run is `failed`
        /// (`NotebookNotSaved`) and the result is saved later [default: 60s]
        #[arg(value_name = "TIME")]
        save_patience: Seconds = "BINDERY_SAVE_PATIENCE",
        /// How long the records of ended executions are kept, such as 90d; their notebooks stay [default: for ever]
        #[arg(value_name = "TIME")]
        retention: Seconds = "BINDERY_RETENTION",
        /// How long running executions may go on after a request to stop, such as 30s [default: 30s]
        #[arg(value_name = "TIME")]
        shutdown_grace: Seconds = "BINDERY_SHUTDOWN_GRACE",
    }
}

settings! {
    /// Limits of an execution that names none itself.
    LimitSettings {
        /// How long a kernel may take to answer for the first time [default: 60s]
        #[arg(value_name = "TIME")]
        start_timeout: Seconds = "BINDERY_START_TIMEOUT",
        /// How long one cell may take [default: no limit]
        #[arg(value_name = "TIME")]
        cell_timeout: Seconds = "BINDERY_CELL_TIMEOUT",
        /// How long a whole run may take [default: no limit]
        #[arg(value_name = "TIME")]
        execution_timeout: Seconds = "BINDERY_EXECUTION_TIMEOUT",
        /// How long an execution may wait for a worker [default: no limit]
        #[arg(value_name = "TIME")]
        queue_timeout: Seconds = "BINDERY_QUEUE_TIMEOUT",
        /// Memory that all processes of a run may take together, such as 2GB [default: no limit]
        #[arg(value_name = "SIZE")]
        max_memory: ByteSize = "BINDERY_MAX_MEMORY",
        /// Processor time that all processes of a run may take together, such as 1h [default: no limit]
        #[arg(value_name = "TIME")]
        max_cpu_time: Seconds = "BINDERY_MAX_CPU_TIME",
        /// Processes that a run may have at the same time, its kernel included [default: no limit]
        #[arg(value_name = "N")]
        max_processes: u64 = "BINDERY_MAX_PROCESSES",
        /// What all processes of a run may write to disk together, such as 10GB [default: no limit]
        #[arg(value_name = "SIZE")]
        max_disk_writes: ByteSize = "BINDERY_MAX_DISK_WRITES",
    }
}

/// Everything that may be configured, as said in one place.
#[derive(Debug, Clone, Default, Args)]
pub struct Settings {
    /// Configuration file [default: bindery.toml where it exists]
    #[arg(long, env = "BINDERY_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// See [`DataSettings`].
    #[command(flatten)]
    pub data: DataSettings,
    /// See [`StoreSettings`].
    #[command(flatten)]
    pub store: StoreSettings,
    /// See [`ServiceSettings`].
    #[command(flatten)]
    pub service: ServiceSettings,
    /// See [`LimitSettings`].
    #[command(flatten)]
    pub limits: LimitSettings,
    /// See [`GatewaySettings`].
    #[command(flatten)]
    pub gateways: GatewaySettings,
}

/// The settings of a command that needs no more than to know where Bindery's own data are.
#[derive(Debug, Clone, Default, Args)]
pub struct LocalSettings {
    /// Configuration file [default: bindery.toml where it exists]
    #[arg(long, env = "BINDERY_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// See [`DataSettings`].
    #[command(flatten)]
    pub data: DataSettings,
}

impl TryFrom<LocalSettings> for Settings {
    type Error = Error;

    /// What the environment says counts for such a command, too.
    fn try_from(LocalSettings { config, data }: LocalSettings) -> Result<Self> {
        #[derive(clap::Parser)]
        struct OnlyEnvironment {
            #[command(flatten)]
            settings: Settings,
        }
        let matches = OnlyEnvironment::command().try_get_matches_from(["bindery"]);
        let environment = matches.and_then(|matches| OnlyEnvironment::from_arg_matches(&matches));
        match environment {
            Ok(OnlyEnvironment { settings }) => Ok(Self { config, data, ..settings }),
            Err(fault) => {
                // clap's text speaks of flags, whose names the variables share; its first paragraph has the fault.
                let text = fault.to_string();
                let text = text.trim_start_matches("error: ").lines().next().unwrap_or_default();
                Err(Error::bad_input(format!(
                    "a BINDERY_… variable of the environment cannot be used: {text}"
                )))
            }
        }
    }
}

/// What is in force.
#[derive(Clone)]
pub struct Config {
    /// See [`ServiceSettings::listen`].
    pub listen: SocketAddr,
    /// Without a slash at the end.
    pub public_url: Option<String>,
    /// Absolute.
    pub data_dir: PathBuf,
    /// `sqlite:PATH` or `postgres://…`; it may hold a password.
    pub database_url: String,
    /// Where templates are.
    pub template_store: TemplateStoreConfig,
    /// The S3 server of the template store and of `s3://` URLs, when it is not AWS.
    pub s3_endpoint: Option<String>,
    /// Where user notebooks are.
    pub notebooks_root: NotebooksRootConfig,
    /// Executions at the same time.
    pub workers: usize,
    /// See [`ServiceSettings::max_running`].
    pub max_running: Option<usize>,
    /// See [`ServiceSettings::max_running_per_user`].
    pub max_running_per_user: Option<usize>,
    /// Kernels that are kept ready.
    pub warm: Vec<WarmKernels>,
    /// Bytes that ready kernels may take together; `None` is a quarter of the machine's memory.
    pub warm_memory: Option<u64>,
    /// Without a slash at the end.
    pub jupyter_base_url: String,
    /// See [`ServiceSettings::jupyter_url_template`].
    pub jupyter_url_template: String,
    /// MLflow's address.
    pub mlflow_tracking_uri: Option<String>,
    /// MLflow's address in links.
    pub mlflow_public_uri: Option<String>,
    /// Bytes.
    pub max_notebook_size: u64,
    /// See [`ServiceSettings::max_output_size`]; bytes.
    pub max_output_size: u64,
    /// See [`ServiceSettings::save_patience`].
    pub save_patience: Duration,
    /// See [`ServiceSettings::retention`].
    pub retention: Option<Duration>,
    /// See [`ServiceSettings::shutdown_grace`].
    pub shutdown_grace: Duration,
    /// Limits of an execution that names none itself.
    pub limits: Limits,
    /// The gateways that executions may name.
    pub kernel_gateways: Vec<KernelGatewayConfig>,
    /// How long one of them may be away from a run.
    pub kernel_gateway_patience: Duration,
}

impl Config {
    /// Fills what the flags and the environment leave open from the configuration file and the defaults.
    ///
    /// # Errors
    /// `BadInput` when the file is missing though named, is not TOML, has unknown names or wrong values.
    pub fn resolve<S: TryInto<Settings>>(settings: S) -> Result<Self>
    where
        Error: From<S::Error>,
    {
        let settings = settings.try_into()?;
        let file = file::read_file(settings.config.as_deref())?;
        let data = settings.data.or(file.data);
        let store = settings.store.or(file.store);
        let service = settings.service.or(file.service);
        let limits = settings.limits.or(file.limits);
        let gateways = settings.gateways.or(file.gateways);
        let (kernel_gateways, kernel_gateway_patience) = gateways::resolve(gateways, file.tables)?;

        let data_dir = absolute(&data.data_dir.unwrap_or_else(|| "bindery-data".into()))?;
        let template_store = store::resolve(&store, &data_dir)?;
        let workers = service.workers.unwrap_or_else(processors);
        if store.max_notebook_size == Some(ByteSize(0)) {
            return Err(Error::bad_input("`max-notebook-size` must be at least 1 byte"));
        }
        if service.max_output_size == Some(ByteSize(0)) {
            return Err(Error::bad_input("`max-output-size` must be at least 1 byte"));
        }
        if workers == 0 {
            return Err(Error::bad_input("`workers` must be at least 1"));
        }
        for (name, limit) in
            [("max-running", service.max_running), ("max-running-per-user", service.max_running_per_user)]
        {
            if limit == Some(0) {
                return Err(Error::bad_input(format!("`{name}` must be at least 1")));
            }
        }
        for (name, url) in
            [("public-url", &service.public_url), ("jupyter-base-url", &service.jupyter_base_url)]
        {
            addresses::check_web_address(name, url.as_deref().unwrap_or_default())?;
        }
        if let Some(template) = &service.jupyter_url_template {
            addresses::check_url_template(template)?;
        }
        Ok(Self {
            listen: service.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8002))),
            database_url: service
                .database_url
                .unwrap_or_else(|| format!("sqlite:{}", data_dir.join("bindery.db").display())),
            public_url: service
                .public_url
                .map(|url| url.trim_end_matches('/').to_owned())
                .filter(|url| !url.is_empty()),
            template_store,
            s3_endpoint: store.s3_endpoint.filter(|url| !url.trim().is_empty()),
            notebooks_root: match service.notebooks_root {
                Some(root) => NotebooksRootConfig::parse(&root)?,
                None => NotebooksRootConfig::Folder(data_dir.join("notebooks")),
            },
            workers,
            max_running: service.max_running,
            max_running_per_user: service.max_running_per_user,
            warm: service.warm.unwrap_or_default().0,
            warm_memory: service.warm_memory.map(|size| size.0),
            jupyter_base_url: service
                .jupyter_base_url
                .map_or_else(|| "http://127.0.0.1:8000".into(), |url| url.trim_end_matches('/').to_owned()),
            jupyter_url_template: service
                .jupyter_url_template
                .unwrap_or_else(|| "{base}/user/{username}/lab/tree/{path}".into()),
            mlflow_tracking_uri: service.mlflow_tracking_uri.filter(|uri| !uri.is_empty()),
            mlflow_public_uri: service.mlflow_public_uri.filter(|uri| !uri.is_empty()),
            max_notebook_size: store.max_notebook_size.map_or(50_000_000, |size| size.0),
            max_output_size: service.max_output_size.map_or(500_000_000, |size| size.0),
            save_patience: service.save_patience.map_or(Duration::from_secs(60), |time| time.0),
            retention: service.retention.map(|time| time.0).filter(|time| !time.is_zero()),
            shutdown_grace: service.shutdown_grace.map_or(Duration::from_secs(30), |time| time.0),
            limits: limits::resolve(limits)?,
            kernel_gateways,
            kernel_gateway_patience,
            data_dir,
        })
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path)
        .map_err(|error| Error::bad_input(format!("`{}` cannot be a path: {error}", path.display())))
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_gives_what_flags_leave_open() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bindery.toml");
        std::fs::write(
            &file,
            "workers = 3\nlisten = \"127.0.0.1:9\"\ncell-timeout = \"5m\"\nmax-notebook-size = 1000\n",
        )
        .unwrap();
        let settings = Settings {
            config: Some(file),
            service: ServiceSettings { workers: Some(7), ..Default::default() },
            ..Default::default()
        };
        let config = Config::resolve(settings).unwrap();
        assert_eq!(config.workers, 7);
        assert_eq!(config.listen.port(), 9);
        assert_eq!(config.limits.cell_timeout, Some(Duration::from_secs(300)));
        assert_eq!(config.max_notebook_size, 1000);
        assert!(config.to_toml().contains("cell-timeout = \"300s\""));
    }
}
