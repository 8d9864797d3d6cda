//! The kernel environments that come with Bindery: the files under `kernels/`, carried in the binary so that an
//! installed Bindery needs no checkout.

use sha2::{Digest, Sha256};

/// One folder of `kernels/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShippedKernel {
    /// The kernel's name.
    pub name: &'static str,
    /// `kernel.json`, with `{python}` where the path of the environment's interpreter goes.
    pub kernel_json: &'static str,
    /// `requirements.txt`: the packages that are wanted, each at one version per Python.
    pub requirements: &'static str,
    /// `requirements.lock`: those and everything that they pull in, which is what the installer is given.
    pub lock: &'static str,
    /// The modules whose import shows that the environment works.
    pub modules: &'static [&'static str],
}

/// All of them, by name.
pub const SHIPPED: &[ShippedKernel] = &[
    ShippedKernel {
        name: "mlflow_kernel",
        kernel_json: include_str!("../../kernels/mlflow_kernel/kernel.json"),
        requirements: include_str!("../../kernels/mlflow_kernel/requirements.txt"),
        lock: include_str!("../../kernels/mlflow_kernel/requirements.lock"),
        modules: &[
            "ipykernel",
            "mlflow",
            "numpy",
            "pandas",
            "scipy",
            "sklearn",
            "matplotlib",
            "seaborn",
            "pyarrow",
            "xgboost",
        ],
    },
    ShippedKernel {
        name: "python3",
        kernel_json: include_str!("../../kernels/python3/kernel.json"),
        requirements: include_str!("../../kernels/python3/requirements.txt"),
        lock: include_str!("../../kernels/python3/requirements.lock"),
        modules: &["ipykernel"],
    },
];

/// The shipped kernel of that name, in any case.
pub fn find(name: &str) -> Option<&'static ShippedKernel> {
    SHIPPED.iter().find(|kernel| kernel.name.eq_ignore_ascii_case(name))
}

impl ShippedKernel {
    /// A digest of what an environment is made from; another digest means another environment.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for text in [self.requirements, self.lock] {
            // The length keeps a line from wandering from one file into the other unnoticed.
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A value of `kernel.json` as text, empty when it is not there.
    pub fn field(&self, pointer: &str) -> String {
        let spec: serde_json::Value = serde_json::from_str(self.kernel_json).unwrap_or_default();
        spec.pointer(pointer).and_then(|value| value.as_str()).unwrap_or_default().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn every_shipped_kernel_is_well_formed() {
        for kernel in SHIPPED {
            let spec: Value = serde_json::from_str(kernel.kernel_json).unwrap();
            assert_eq!(spec["argv"][0], "{python}", "{}", kernel.name);
            assert_eq!(spec["interrupt_mode"], "signal", "{}", kernel.name);
            assert!(!kernel.field("/display_name").is_empty(), "{}", kernel.name);
            assert!(!kernel.field("/metadata/bindery/summary").is_empty(), "{}", kernel.name);
            assert_eq!(find(&kernel.name.to_uppercase()), Some(kernel));
        }
        assert!(find("perl").is_none());
    }

    #[test]
    fn what_is_wanted_is_pinned_and_locked() {
        for kernel in SHIPPED {
            for line in kernel.requirements.lines().filter(|line| !line.starts_with('#')) {
                let (pin, _marker) = line.split_once(';').unwrap_or((line, ""));
                assert!(pin.contains("=="), "{}: {line} names no version", kernel.name);
                let locked =
                    kernel.lock.lines().any(|entry| entry.split(';').next().unwrap().trim() == pin.trim());
                assert!(locked, "{}: {pin} is not in requirements.lock; lock again", kernel.name);
            }
        }
    }
}
