//! How fetching behaves.

use std::time::Duration;

use url::Url;

use super::credentials::Credentials;

/// The most bytes of a file that is fetched: larger than any image of an operating system
/// that is downloaded today.
pub const LARGEST: u64 = 16 << 30;

/// How fetching behaves. The defaults suit people; tests shorten the waits.
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// Hashed mirrors, tried before all other places: `BASE/sha256/HEX`.
    pub mirrors: Vec<Url>,
    /// Whether only mirrors are asked, and the recorded places are not.
    pub only_mirrors: bool,
    /// What is shown to servers that want to know who asks.
    pub credentials: Credentials,
    /// Whether to keep off the network. Local files may still be read.
    pub offline: bool,
    /// How many downloads run at once.
    pub parallel: usize,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long nothing may come from a place that is connected.
    pub idle_timeout: Duration,
    /// The fewest bytes per second, over one idle timeout, that a place must send.
    pub slowest: u64,
    /// How often the places that may answer better in a while are tried again.
    pub retries: u32,
    /// The wait before the first of these; each further one is twice as long.
    pub first_wait: Duration,
    /// The longest wait between two tries, whatever a server asks for.
    pub longest_wait: Duration,
    /// The most bytes of a file, whatever size it is said to have.
    pub limit: u64,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            mirrors: Vec::new(),
            only_mirrors: false,
            credentials: Credentials::default(),
            offline: false,
            // Enough to hide a mirror's latency, few enough to be a good guest.
            parallel: 8,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            slowest: 100,
            retries: 4,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(30),
            limit: LARGEST,
        }
    }
}

impl FetchOptions {
    /// How long to wait before try number `retry` (from 0), when a server asked for
    /// `asked`. The same every time: there is no herd to scatter, and what is done
    /// twice should take the same way twice.
    pub(crate) fn wait(&self, retry: u32, asked: Option<Duration>) -> Duration {
        let usual = self
            .first_wait
            .saturating_mul(2u32.saturating_pow(retry.min(16)));
        usual.max(asked.unwrap_or_default()).min(self.longest_wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_are_bounded_and_honour_the_server() {
        let options = FetchOptions::default();
        let millis = |retry, asked| options.wait(retry, asked).as_millis();
        assert_eq!(millis(0, None), 500);
        assert_eq!(millis(3, None), 4_000);
        assert_eq!(millis(u32::MAX, None), 30_000);
        assert_eq!(millis(0, Some(Duration::from_secs(7))), 7_000);
        assert_eq!(millis(0, Some(Duration::from_secs(7_000))), 30_000);
    }
}
