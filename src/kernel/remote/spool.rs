//! What came over a websocket, on disk before anything else is done with it.
//!
//! A gateway sends a message once. Between its coming and its place in the journal there may be a save of the notebook,
//! and a process that is killed meanwhile would take the message with it. So each frame is appended to a file, which
//! whoever goes on with the kernel reads first. The file is emptied whenever all of it has been recorded.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio_tungstenite::tungstenite::Message as Frame;

use super::framing::Framing;

/// A file of this size is emptied as soon as it can be.
const LARGE: u64 = 4 << 20;
/// Before each frame: its framing and kind, its number, its length.
const HEAD: usize = 1 + 8 + 8;

/// Frames are numbered from 1 on as they come.
#[derive(Debug)]
pub(super) struct Spool {
    file: Option<File>,
    size: u64,
    last: u64,
    /// Up to which frame all has been recorded.
    recorded: Arc<AtomicU64>,
}

/// A frame that came to another process.
pub(super) struct Spooled {
    pub(super) framing: Framing,
    pub(super) frame: Frame,
    pub(super) arrival: u64,
}

impl Spool {
    /// One in this file, with the frames that another process has left there; one without a file only counts.
    pub(super) fn create(path: Option<&Path>, last: u64, left: &[Spooled], recorded: Arc<AtomicU64>) -> Self {
        let mut spool = Self { file: None, size: 0, last, recorded };
        let Some(path) = path else { return spool };
        // A file of its own: the other process may only have slept.
        let next = path.with_extension("next");
        let created = File::create(&next).and_then(|file| {
            spool.file = Some(file);
            for Spooled { framing, frame, arrival } in left {
                spool.last = arrival - 1;
                spool.keep(*framing, frame);
            }
            std::fs::rename(&next, path)
        });
        if let Err(error) = created {
            tracing::warn!(%error, "what a kernel gateway sends cannot be kept before it is recorded");
        }
        spool
    }

    /// Keeps a frame, unless it holds no message; gives its number.
    pub(super) fn keep(&mut self, framing: Framing, frame: &Frame) -> u64 {
        let (kind, bytes) = match frame {
            Frame::Text(text) => (b't', text.as_bytes()),
            Frame::Binary(bytes) => (if framing == Framing::V1 { b'1' } else { b'j' }, bytes.as_ref()),
            _ => return self.last,
        };
        if self.size > LARGE && self.recorded.load(Ordering::Acquire) >= self.last {
            self.empty();
        }
        self.last += 1;
        if let Some(file) = &mut self.file {
            let mut head = [0; HEAD];
            head[0] = kind;
            head[1..9].copy_from_slice(&self.last.to_le_bytes());
            head[9..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
            if let Err(error) = file.write_all(&head).and_then(|()| file.write_all(bytes)) {
                tracing::warn!(%error, "what a kernel gateway sends cannot be kept before it is recorded");
                self.file = None;
            }
            self.size += (HEAD + bytes.len()) as u64;
        }
        self.last
    }

    fn empty(&mut self) {
        use std::io::Seek as _;
        let emptied = self.file.as_mut().map(|file| file.set_len(0).and_then(|()| file.rewind()));
        if let Some(Err(error)) = emptied {
            tracing::debug!(%error, "the frames of a kernel gateway cannot be removed");
        } else {
            self.size = 0;
        }
    }

    /// The frames in a file, up to one that was cut by a crash.
    pub(super) fn read(path: &Path) -> Vec<Spooled> {
        let Ok(file) = File::open(path) else { return Vec::new() };
        let mut file = BufReader::new(file);
        std::iter::from_fn(|| read_one(&mut file)).collect()
    }
}

fn read_one(file: &mut impl Read) -> Option<Spooled> {
    let mut head = [0; HEAD];
    file.read_exact(&mut head).ok()?;
    let number = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_le_bytes);
    let (arrival, length) = (number(&head[1..9])?, number(&head[9..])?);
    // Not all at once: a length that is nonsense must not take the memory.
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes).ok()?;
    if bytes.len() as u64 != length {
        return None;
    }
    let (framing, frame) = match head[0] {
        b'1' => (Framing::V1, Frame::Binary(Bytes::from(bytes))),
        b'j' => (Framing::Json, Frame::Binary(Bytes::from(bytes))),
        _ => (Framing::Json, Frame::text(String::from_utf8(bytes).ok()?)),
    };
    Some(Spooled { framing, frame, arrival })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_read_back_up_to_where_a_crash_cut_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("frames");
        let mut spool = Spool::create(Some(&path), 7, &[], Arc::default());
        let frames = [Frame::text("{}"), Frame::binary(vec![1, 2, 3]), Frame::Ping(Bytes::new())];
        let numbers = frames.each_ref().map(|frame| spool.keep(Framing::V1, frame));
        assert_eq!(numbers, [8, 9, 9], "a ping is no message");
        let read = Spool::read(&path);
        assert_eq!(read.iter().map(|it| it.arrival).collect::<Vec<_>>(), [8, 9]);
        assert_eq!((&read[0].frame, &read[1].frame), (&frames[0], &frames[1]));
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(file.metadata().unwrap().len() - 1).unwrap();
        assert_eq!(Spool::read(&path).len(), 1);
        assert!(Spool::read(&folder.path().join("none")).is_empty());
        // Who goes on keeps what is left, in its place.
        let mut again = Spool::create(Some(&path), 7, &Spool::read(&path), Arc::default());
        assert_eq!(again.keep(Framing::Json, &frames[0]), 9);
        assert_eq!(Spool::read(&path).iter().map(|it| it.arrival).collect::<Vec<_>>(), [8, 9]);
    }

    #[test]
    fn what_has_been_recorded_makes_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("frames");
        let recorded = Arc::new(AtomicU64::new(0));
        let mut spool = Spool::create(Some(&path), 0, &[], recorded.clone());
        let large = Frame::binary(vec![0; 5 << 20]);
        spool.keep(Framing::V1, &large);
        spool.keep(Framing::V1, &large);
        assert_eq!(Spool::read(&path).len(), 2, "the first has not been recorded");
        recorded.store(2, Ordering::Release);
        spool.keep(Framing::V1, &Frame::binary(vec![1]));
        let arrivals: Vec<_> = Spool::read(&path).iter().map(|it| it.arrival).collect();
        assert_eq!(arrivals, [3]);
    }
}
