//! The flags for how cells are run.

use clap::Args;

use crate::config::Seconds;
use crate::execution::CellPolicy;

/// nbclient's options as flags.
#[derive(Debug, Args)]
pub(super) struct CellFlags {
    /// Go on after an exception in any cell, as after one in a cell tagged raises-exception
    #[arg(long)]
    allow_errors: bool,
    /// Go on after exceptions of this class; may be repeated
    #[arg(long = "allow-error-name", value_name = "NAME")]
    allow_error_names: Vec<String>,
    /// Stop at every exception, also in a cell tagged raises-exception
    #[arg(long)]
    force_raise_errors: bool,
    /// Do not execute the cells with this tag
    #[arg(long, value_name = "TAG", default_value = "skip-execution")]
    skip_cells_with_tag: String,
    /// Make one output of all that a cell prints to standard output, and one of its standard error
    #[arg(long, overrides_with = "no_coalesce_streams")]
    coalesce_streams: bool,
    #[arg(long, overrides_with = "coalesce_streams", hide = true)]
    no_coalesce_streams: bool,
    /// Keep the times of the kernel's messages in each cell (the default), or with --no-record-timing do not
    #[arg(long, overrides_with = "no_record_timing")]
    record_timing: bool,
    #[arg(long, overrides_with = "record_timing", hide = true)]
    no_record_timing: bool,
    /// Keep the state of widgets in the notebook (the default), or with --no-store-widget-state do not
    #[arg(long, overrides_with = "no_store_widget_state")]
    store_widget_state: bool,
    #[arg(long, overrides_with = "store_widget_state", hide = true)]
    no_store_widget_state: bool,
    /// How long the end of a cell's output may stay away once the cell has ended, such as 4 or 1m
    #[arg(long, value_name = "TIME", default_value = "4s")]
    iopub_timeout: Seconds,
    /// Fail when the end of a cell's output stays away; else that is a warning
    #[arg(long, overrides_with = "no_raise_on_iopub_timeout")]
    raise_on_iopub_timeout: bool,
    #[arg(long, overrides_with = "raise_on_iopub_timeout", hide = true)]
    no_raise_on_iopub_timeout: bool,
}

impl CellFlags {
    pub(super) fn policy(&self) -> CellPolicy {
        CellPolicy {
            allow_errors: self.allow_errors,
            allow_error_names: self.allow_error_names.clone(),
            force_raise_errors: self.force_raise_errors,
            skip_cells_with_tag: self.skip_cells_with_tag.clone(),
            coalesce_streams: self.coalesce_streams,
            record_timing: !self.no_record_timing,
            store_widget_state: !self.no_store_widget_state,
            iopub_timeout: self.iopub_timeout.0,
            raise_on_iopub_timeout: self.raise_on_iopub_timeout,
        }
    }
}
