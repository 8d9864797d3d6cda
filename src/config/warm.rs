//! Which kernels are kept ready, as it is written.

use std::fmt;

use serde::Deserialize;

/// How many kernels of one kernelspec are kept ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarmKernels {
    /// The kernelspec's name.
    pub kernel: String,
    /// How many; 0 is none.
    pub count: usize,
}

/// A list such as `python3=2,mlflow_kernel`: a name alone is one kernel; empty is none.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct WarmList(pub Vec<WarmKernels>);

impl Default for WarmList {
    /// One kernel of Bindery's default kernelspec.
    fn default() -> Self {
        Self(vec![WarmKernels { kernel: "python3".into(), count: 1 }])
    }
}

impl std::str::FromStr for WarmList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut kernels: Vec<WarmKernels> = Vec::new();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let (kernel, count) = item.split_once('=').unwrap_or((item, "1"));
            let kernel = kernel.trim().to_owned();
            let count = count.trim().parse().ok().filter(|count| *count <= MOST);
            let (Some(count), false) = (count, kernel.is_empty()) else {
                return Err(format!(
                    "`{item}` is not NAME=COUNT: write python3=2, or several with commas between; {MOST} is the most"
                ));
            };
            if kernels.iter().any(|earlier| earlier.kernel == kernel) {
                return Err(format!("`{kernel}` stands there twice"));
            }
            kernels.push(WarmKernels { kernel, count });
        }
        Ok(Self(kernels))
    }
}

/// More would be a slip of the keyboard.
const MOST: usize = 1000;

impl TryFrom<String> for WarmList {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for WarmList {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items: Vec<_> = self.0.iter().map(|it| format!("{}={}", it.kernel, it.count)).collect();
        formatter.write_str(&items.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_faults_are_named() {
        let list: WarmList = " python3=2, mlflow_kernel ".parse().unwrap();
        assert_eq!(list.to_string(), "python3=2,mlflow_kernel=1");
        assert_eq!("".parse::<WarmList>().unwrap().0, []);
        for bad in ["python3=", "python3=many", "=2", "python3=-1", "python3=9999"] {
            assert!(bad.parse::<WarmList>().unwrap_err().contains("NAME=COUNT"), "{bad}");
        }
        assert!("a,a=2".parse::<WarmList>().unwrap_err().contains("twice"));
    }
}
