//! Which messages of a kernel have come, and whether some are missing between two connections.
//!
//! `jupyter_client`, and so every kernel that is made with it, names its messages `SESSION_PID_N` and counts N over all
//! of its channels. A gateway keeps what comes while nobody is connected; what was on its way to a process that died is
//! lost, and shows as a gap.

/// What is known of a request once everything that the kernel had to say about it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaughtUp {
    /// The last request that had been sent when the connection broke.
    pub request: Option<String>,
    /// The kernel's prompt number now, where it tells.
    pub execution_count: Option<u64>,
    /// Whether the request before this look raised an exception, as far as the kernel tells by refusing what follows.
    pub is_aborted: bool,
    /// How many messages of the request were lost; `None`: that cannot be told.
    pub lost: Option<u64>,
    /// Whether the request was so large that a gateway may have closed the connection because of it.
    pub was_large: bool,
}

/// The number of a message of the kernel whose session this is.
pub(super) fn number(msg_id: &str, session: &str) -> Option<u64> {
    let rest = msg_id.strip_prefix(session)?.strip_prefix('_')?;
    rest.rsplit('_').next()?.parse().ok()
}

/// What has come since the connection broke.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The highest number that has come.
    last: Option<u64>,
    gap: Option<Gap>,
}

#[derive(Debug)]
struct Gap {
    /// The highest number that had come before it.
    before: Option<u64>,
    /// What has come since.
    since: Vec<u64>,
    /// The number of the message that said that the request was done.
    done: Option<u64>,
}

impl Heard {
    /// From where another process was.
    pub(super) fn from(last: Option<u64>) -> Self {
        Self { last, gap: None }
    }

    /// Notes a message.
    pub(super) fn note(&mut self, number: u64) {
        self.last = self.last.max(Some(number));
        if let Some(gap) = &mut self.gap {
            gap.since.push(number);
        }
    }

    /// Notes which message says that the request is done.
    pub(super) fn note_done(&mut self, number: Option<u64>) {
        if let Some(gap) = &mut self.gap {
            gap.done = number;
        }
    }

    /// The connection broke.
    pub(super) fn broke(&mut self) {
        match &mut self.gap {
            // And breaks again before the gap was looked at.
            Some(gap) => gap.done = None,
            gap @ None => *gap = Some(Gap { before: self.last, since: Vec::new(), done: None }),
        }
    }

    /// How many messages are missing, of those before the one that says that the request is done.
    pub(super) fn lost(&mut self) -> Option<u64> {
        let Gap { before, since, done } = self.gap.take()?;
        let (before, done) = (before?, done?);
        let came = since.iter().filter(|number| (before + 1..=done).contains(number)).count() as u64;
        Some(done.checked_sub(before)?.saturating_sub(came))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_numbered_by_their_kernel() {
        assert_eq!(number("ab-c_77_12", "ab-c"), Some(12));
        assert_eq!(number("ab-c_12", "ab-c"), Some(12));
        for other in ["xy_77_12", "ab-c", "ab-c_x", "ab-cd_77_12"] {
            assert_eq!(number(other, "ab-c"), None, "{other}");
        }
    }

    #[test]
    fn what_is_missing_of_a_request_is_counted() {
        let lost = |numbers: &[u64], done| {
            let mut heard = Heard::from(Some(10));
            heard.broke();
            numbers.iter().for_each(|number| heard.note(*number));
            heard.note_done(done);
            heard.lost()
        };
        assert_eq!(lost(&[11, 12, 13], Some(13)), Some(0));
        // The reply's channel is another than that of outputs: the order may differ.
        assert_eq!(lost(&[11, 13, 12, 19], Some(13)), Some(0));
        assert_eq!(lost(&[12, 13], Some(13)), Some(1));
        assert_eq!(lost(&[12, 13], None), None, "it was not said that it is done");
        let mut heard = Heard::default();
        heard.broke();
        heard.note(3);
        heard.note_done(Some(3));
        assert_eq!(heard.lost(), None, "it is not known what came before");
    }
}
