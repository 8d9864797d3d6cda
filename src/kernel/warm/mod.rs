//! Kernels that are ready before they are asked for.
//!
//! A [`KernelPool`] keeps some kernels of chosen kernelspecs running ahead; each is handed out once, with the working
//! folder and the variables of its execution, and never taken back. Those of IPython are forked by a zygote that
//! has imported all that they need; where it cannot be had, and for every kernel that is not kept, a kernel is started
//! when it is asked for.

mod cold;
mod fingerprint;
mod launcher;
mod memory;
mod moving;
mod pool;
mod ready;
mod zygote;

pub use launcher::through_launcher;
pub use pool::{KernelPool, PoolOptions};
