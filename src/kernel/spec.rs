//! The kernelspec: what a `kernel.json` says, read and checked.
//!
//! The fields and their defaults are those of `jupyter_client.kernelspec.KernelSpec` (8.x). Stricter than Jupyter in
//! one point: a spec without a program in `argv` is malformed here, where Jupyter finds out at launch.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// Python modules that are kernels made of ipykernel.
const IPC_MODULES: [&str; 4] = ["ipykernel_launcher", "ipykernel", "bash_kernel", "sos_notebook.kernel"];

/// How to reach a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Sockets in a private folder: nobody else on the machine can connect.
    Ipc,
    /// Ports on 127.0.0.1, for kernels that know nothing else.
    Tcp,
}

/// How a kernel wants to be interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum InterruptMode {
    /// SIGINT to its process group.
    #[default]
    Signal,
    /// An `interrupt_request` on the control channel.
    Message,
}

impl InterruptMode {
    /// The word in `kernel.json`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Message => "message",
        }
    }
}

/// One kernel that can be started.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelSpec {
    /// The name of its folder in lower case: what a notebook's `metadata.kernelspec.name` says.
    pub name: String,
    /// Program and arguments with placeholders such as `{connection_file}`; never empty.
    pub argv: Vec<String>,
    /// The name for people; the kernel's name when the file gives none.
    pub display_name: String,
    /// The language; empty when the file gives none.
    pub language: String,
    /// How to interrupt it.
    pub interrupt_mode: InterruptMode,
    /// Variables for the kernel's environment, in the file's order; values may hold `$NAME` and `${NAME}`.
    pub env: Vec<(String, String)>,
    /// Whatever the spec's author noted.
    pub metadata: Map<String, Value>,
    /// The folder that `kernel.json` lies in.
    pub resource_dir: PathBuf,
}

/// A `kernel.json` that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the kernelspec of {name:?} is malformed: {fault}; repair or remove {}", file.display())]
pub struct MalformedSpec {
    /// The kernel's name.
    pub name: String,
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it, without the path.
    pub fault: String,
}

impl KernelSpec {
    /// Reads `kernel.json` in `resource_dir`.
    pub fn read(name: &str, resource_dir: &Path) -> Result<Self, MalformedSpec> {
        let file = resource_dir.join("kernel.json");
        let read = std::fs::read(&file)
            .map_err(|error| format!("it cannot be read ({error})"))
            .and_then(|bytes| Self::parse(name, resource_dir, &bytes));
        read.map_err(|fault| MalformedSpec { name: name.to_owned(), file, fault })
    }

    fn parse(name: &str, resource_dir: &Path, bytes: &[u8]) -> Result<Self, String> {
        let value: Value =
            serde_json::from_slice(bytes).map_err(|error| format!("it is not JSON ({error})"))?;
        let Value::Object(fields) = value else { return Err("it is not a JSON object".to_owned()) };
        let argv = strings(fields.get("argv"))?;
        if argv.first().is_none_or(String::is_empty) {
            return Err("`argv` names no program".to_owned());
        }
        Ok(Self {
            name: name.to_owned(),
            argv,
            display_name: text(&fields, "display_name")?.unwrap_or(name).to_owned(),
            language: text(&fields, "language")?.unwrap_or_default().to_owned(),
            interrupt_mode: interrupt_mode(text(&fields, "interrupt_mode")?)?,
            env: variables(fields.get("env"))?,
            metadata: object(fields.get("metadata"), "metadata")?.cloned().unwrap_or_default(),
            resource_dir: resource_dir.to_owned(),
        })
    }

    /// How the kernel is reached: as `metadata.bindery.transport` says (`ipc` or `tcp`), else by IPC where it is known to
    /// speak that (ipykernel and what is made of it), else by TCP, which all do.
    ///
    /// IPC is for this user alone. To a TCP port of 127.0.0.1 everybody on the machine can connect: what keeps them out
    /// is the key in the connection file, with which every message is signed.
    pub fn transport(&self) -> Transport {
        let named = self.metadata.get("bindery").and_then(|it| it.get("transport")).and_then(Value::as_str);
        let speaks_ipc = || {
            let modules = self.argv.windows(2).filter(|pair| pair[0] == "-m");
            modules.into_iter().any(|pair| IPC_MODULES.contains(&pair[1].as_str()))
        };
        match named {
            Some("ipc") => Transport::Ipc,
            Some("tcp") => Transport::Tcp,
            _ if speaks_ipc() => Transport::Ipc,
            _ => Transport::Tcp,
        }
    }

    /// Whether the language is Python, in any spelling (`python`, `Python 3`, …).
    pub fn is_python(&self) -> bool {
        self.language.to_lowercase().starts_with("python")
    }
}

fn text<'a>(fields: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, String> {
    match fields.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("`{key}` is not a string")),
    }
}

fn strings(value: Option<&Value>) -> Result<Vec<String>, String> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let wrong = || "`argv` is not a list of strings".to_owned();
    let items = value.as_array().ok_or_else(wrong)?;
    items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
}

fn object<'a>(value: Option<&'a Value>, key: &str) -> Result<Option<&'a Map<String, Value>>, String> {
    match value {
        None => Ok(None),
        Some(Value::Object(fields)) => Ok(Some(fields)),
        Some(_) => Err(format!("`{key}` is not an object")),
    }
}

fn variables(value: Option<&Value>) -> Result<Vec<(String, String)>, String> {
    let Some(fields) = object(value, "env")? else { return Ok(Vec::new()) };
    let pair = |(key, value): (&String, &Value)| {
        let is_name = !key.is_empty() && !key.contains(['=', '\0']);
        match value.as_str().filter(|text| is_name && !text.contains('\0')) {
            Some(text) => Ok((key.clone(), text.to_owned())),
            None => Err(format!("`env` does not map the name of a variable to a string at {key:?}")),
        }
    };
    fields.iter().map(pair).collect()
}

fn interrupt_mode(word: Option<&str>) -> Result<InterruptMode, String> {
    match word.map(str::to_ascii_lowercase).as_deref() {
        None | Some("signal") => Ok(InterruptMode::Signal),
        Some("message") => Ok(InterruptMode::Message),
        Some(other) => Err(format!("`interrupt_mode` is {other:?}, which is neither signal nor message")),
    }
}

impl fmt::Display for InterruptMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn parse(json: &str) -> Result<KernelSpec, String> {
        KernelSpec::parse("k", Path::new("/specs/k"), json.as_bytes())
    }

    #[test]
    fn a_full_spec_is_read_in_its_order() {
        let spec = parse(
            r#"{"argv": ["python", "-f", "{connection_file}"], "display_name": "P", "language": "Python 3",
                "interrupt_mode": "Message", "env": {"B": "1", "A": "${B}"}, "metadata": {"debugger": true},
                "kernel_protocol_version": "5.5", "unknown": 1}"#,
        )
        .unwrap();
        assert_eq!(spec.argv, ["python", "-f", "{connection_file}"]);
        assert_eq!(spec.env, [("B".into(), "1".into()), ("A".into(), "${B}".into())]);
        assert_eq!(spec.interrupt_mode, InterruptMode::Message);
        assert_eq!(spec.metadata["debugger"], true);
        assert!(spec.is_python());
    }

    #[test]
    fn kernels_are_reached_in_the_way_that_they_know() {
        let transport = |json: &str| parse(json).unwrap().transport();
        assert_eq!(
            transport(r#"{"argv": ["python", "-m", "ipykernel_launcher", "-f", "x"]}"#),
            Transport::Ipc
        );
        assert_eq!(transport(r#"{"argv": ["evcxr_jupyter", "--control_file", "x"]}"#), Transport::Tcp);
        let named = r#"{"argv": ["k"], "metadata": {"bindery": {"transport": "ipc"}}}"#;
        assert_eq!(transport(named), Transport::Ipc);
    }

    #[test]
    fn what_is_left_out_has_jupyters_defaults() {
        let spec = parse(r#"{"argv": ["cat"]}"#).unwrap();
        assert_eq!((spec.display_name.as_str(), spec.language.as_str()), ("k", ""));
        assert_eq!(spec.interrupt_mode, InterruptMode::Signal);
        assert!(spec.env.is_empty() && spec.metadata.is_empty() && !spec.is_python());
    }

    #[test]
    fn each_fault_is_named() {
        for (json, fault) in [
            ("{", "not JSON"),
            ("[]", "not a JSON object"),
            ("{}", "`argv` names no program"),
            (r#"{"argv": []}"#, "`argv` names no program"),
            (r#"{"argv": [""]}"#, "`argv` names no program"),
            (r#"{"argv": "python"}"#, "`argv` is not a list"),
            (r#"{"argv": ["python", 3]}"#, "`argv` is not a list"),
            (r#"{"argv": ["a"], "language": 3}"#, "`language` is not a string"),
            (r#"{"argv": ["a"], "interrupt_mode": "never"}"#, "neither signal nor message"),
            (r#"{"argv": ["a"], "env": {"A": 1}}"#, "at \"A\""),
            (r#"{"argv": ["a"], "env": {"A=B": "1"}}"#, "at \"A=B\""),
            (r#"{"argv": ["a"], "env": []}"#, "`env` is not an object"),
            (r#"{"argv": ["a"], "metadata": []}"#, "`metadata` is not an object"),
        ] {
            let error = parse(json).unwrap_err();
            assert!(error.contains(fault), "{json}: {error}");
        }
    }
}
