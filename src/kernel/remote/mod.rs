//! Kernels behind a Jupyter Server, a Kernel Gateway or an Enterprise Gateway: started and ended by REST, spoken to over
//! a websocket.
//!
//! A gateway keeps what a kernel sends while nobody is connected, for whoever comes with the session that was there
//! before. So the names of kernel and session are all that is needed to go on where another process was
//! ([`RemoteKernel::resume`]).
//!
//! It restarts no kernel, and sends no secret but the token, which goes into a header of each request and nowhere else.

mod answer;
mod channel;
mod framing;
mod gateway;
mod heard;
mod kernel;
mod link;
mod specs;
mod spool;
mod token;

pub use gateway::{Gateway, NoSpecs};
pub use heard::CaughtUp;
pub use kernel::{RemoteKernel, Resumed};
pub use link::Terms;
pub use specs::GatewaySpecs;
pub use token::Token;
