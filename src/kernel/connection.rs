//! The connection to a kernel: its file, its sockets, and how to wait for them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jupyter_zmq_client::connection::{
    ClientControlConnection, ClientIoPubConnection, ConnectionInfo, DealerRecvConnection,
    DealerSendConnection, create_client_control_connection, create_client_iopub_connection,
    create_client_shell_connection_with_identity, peek_ports_with_listeners, peer_identity_for_session,
};
use tempfile::TempDir;

use super::spec::Transport;
use crate::error::{Error, Result};

/// How often a socket is looked for while a kernel starts.
const SOCKET_POLL: Duration = Duration::from_millis(2);

/// A private folder for the connection file and sockets.
pub(super) fn runtime_folder() -> Result<TempDir> {
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    runtime_folder_in(own.into_iter().chain([std::env::temp_dir(), PathBuf::from("/tmp")]))
}

/// In the first place where one can be made: `XDG_RUNTIME_DIR` may be another user's, after `su`. A socket's path
/// must stay below 108 bytes.
fn runtime_folder_in(places: impl IntoIterator<Item = PathBuf>) -> Result<TempDir> {
    let mut refused = None;
    for place in places.into_iter().filter(|place| place.is_absolute() && place.as_os_str().len() <= 70) {
        match tempfile::Builder::new().prefix("bindery-").tempdir_in(place) {
            Ok(folder) => return Ok(folder),
            Err(error) => refused = Some(error),
        }
    }
    let error = Error::unavailable("no folder for the kernel's sockets can be made");
    Err(match refused {
        Some(refused) => error.with_source(refused),
        None => error,
    })
}

pub(super) async fn connection_info(
    kernel_name: &str,
    transport: Transport,
    folder: &Path,
) -> Result<(ConnectionInfo, Vec<tokio::net::TcpListener>)> {
    let (ip, ports, listeners) = match transport {
        Transport::Ipc => (folder.join("k").to_string_lossy().into_owned(), vec![1, 2, 3, 4, 5], Vec::new()),
        Transport::Tcp => {
            let local = std::net::IpAddr::from([127, 0, 0, 1]);
            let (ports, listeners) = peek_ports_with_listeners(local, 5)
                .await
                .map_err(|error| Error::unavailable("no free ports for the kernel").with_source(error))?;
            (local.to_string(), ports, listeners)
        }
    };
    let info = ConnectionInfo {
        ip,
        transport: match transport {
            Transport::Ipc => jupyter_protocol::connection_info::Transport::IPC,
            Transport::Tcp => jupyter_protocol::connection_info::Transport::TCP,
        },
        shell_port: ports[0],
        iopub_port: ports[1],
        stdin_port: ports[2],
        control_port: ports[3],
        hb_port: ports[4],
        key: uuid::Uuid::new_v4().to_string(),
        signature_scheme: "hmac-sha256".into(),
        kernel_name: Some(kernel_name.into()),
    };
    Ok((info, listeners))
}

/// The connection file in a kernel's folder.
pub(super) fn connection_file(folder: &Path) -> PathBuf {
    folder.join("connection.json")
}

pub(super) fn write_connection_file(folder: &Path, info: &ConnectionInfo) -> Result<PathBuf> {
    let path = connection_file(folder);
    let write = || {
        let text = serde_json::to_vec_pretty(info)?;
        std::fs::write(&path, text)
    };
    write().map_err(|error| {
        Error::unavailable("the kernel's connection file cannot be written").with_source(error)
    })?;
    Ok(path)
}

type Connections =
    (DealerSendConnection, DealerRecvConnection, ClientControlConnection, ClientIoPubConnection);

pub(super) async fn connect(info: &ConnectionInfo, folder: &Path) -> Result<Connections> {
    let is_ipc = info.transport == jupyter_protocol::connection_info::Transport::IPC;
    for port in [info.shell_port, info.iopub_port, info.control_port] {
        let socket = folder.join(format!("k-{port}"));
        let listens = async || match is_ipc {
            true => tokio::fs::try_exists(&socket).await.unwrap_or(false),
            // The kernel takes it for a peer that thought better of it.
            false => tokio::net::TcpStream::connect((info.ip.as_str(), port)).await.is_ok(),
        };
        while !listens().await {
            tokio::time::sleep(SOCKET_POLL).await;
        }
    }
    let session = uuid::Uuid::new_v4().to_string();
    let connections = async {
        let identity = peer_identity_for_session(&session)?;
        let iopub = create_client_iopub_connection(info, "", &session).await?;
        let shell = create_client_shell_connection_with_identity(info, &session, identity).await?;
        let control = create_client_control_connection(info, &session).await?;
        let (send, receive) = shell.split();
        Ok::<_, jupyter_zmq_client::RuntimeError>((send, receive, control, iopub))
    };
    connections
        .await
        .map_err(|error| Error::kernel("the kernel's sockets cannot be connected to").with_source(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_cannot_be_used_for_sockets_is_passed_over() {
        let (good, long) =
            (tempfile::tempdir_in("/tmp").unwrap(), PathBuf::from(format!("/{}", "x".repeat(90))));
        // Nobody can make a folder there.
        let places = [long, PathBuf::from("relative"), PathBuf::from("/proc"), good.path().to_owned()];
        let folder = runtime_folder_in(places).unwrap();
        assert!(folder.path().starts_with(good.path()));
        assert!(runtime_folder_in([PathBuf::from("/proc")]).is_err());
    }
}
