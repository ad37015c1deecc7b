//! Who one is to servers that want to know.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use url::{Host, Url};

/// What to show to which server. Neither texts nor messages made from it have secrets.
#[derive(Clone, Default)]
pub struct Credentials {
    entries: Vec<(Url, HeaderValue)>,
}

/// A text that should have been credentials. What it says may be secret, so it is not
/// shown: only which of them it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("credential {number} {why}")]
pub struct CredentialsError {
    number: usize,
    why: &'static str,
}

impl Credentials {
    /// Reads `ADDRESS=bearer:TOKEN` and `ADDRESS=basic:USER:PASSWORD`, separated by
    /// spaces or lines. They are shown to what is at ADDRESS or below it (RFC 6750 §2.1,
    /// RFC 7617) and to where that server redirects on itself, and to nobody else.
    ///
    /// # Errors
    /// [`CredentialsError`] where one is written in another way, or would go over the
    /// network unencrypted.
    pub fn parse(text: &str) -> Result<Self, CredentialsError> {
        let mut entries = Vec::new();
        for (index, word) in text.split_whitespace().enumerate() {
            let wrong = |why| CredentialsError {
                number: index + 1,
                why,
            };
            let (address, header) = if let Some((address, token)) = word.split_once("=bearer:") {
                (address, format!("Bearer {token}"))
            } else if let Some((address, pair)) = word.split_once("=basic:") {
                if !pair.contains(':') {
                    return Err(wrong("has no `:` between user and password"));
                }
                (address, format!("Basic {}", STANDARD.encode(pair)))
            } else {
                return Err(wrong(
                    "is neither `ADDRESS=bearer:TOKEN` nor `ADDRESS=basic:USER:PASSWORD`",
                ));
            };
            let url = Url::parse(address).map_err(|_| wrong("has no address before its `=`"))?;
            if url.scheme() != "https" && !(url.scheme() == "http" && is_here(&url)) {
                return Err(wrong("is for an address that is not `https:`"));
            }
            let mut header = HeaderValue::from_str(&header)
                .map_err(|_| wrong("has characters that no header can have"))?;
            header.set_sensitive(true);
            entries.push((url, header));
        }
        Ok(Self { entries })
    }

    /// What to show to the server of `url`.
    pub(crate) fn header(&self, url: &Url) -> Option<HeaderValue> {
        let fits = |base: &Url| {
            let below = base.path().trim_end_matches('/');
            base.origin() == url.origin()
                && url
                    .path()
                    .strip_prefix(below)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.entries
            .iter()
            .find(|(base, _)| fits(base))
            .map(|(_, header)| header.clone())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.entries.len())
    }
}

/// Whether what is sent there does not leave this machine.
pub(crate) fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(credentials: &Credentials, url: &str) -> Option<String> {
        let header = credentials.header(&Url::parse(url).unwrap())?;
        Some(header.to_str().unwrap().to_owned())
    }

    #[test]
    fn they_are_shown_to_whom_they_are_for_and_nobody_else() {
        let text = "https://a.example/team=bearer:t1\nhttp://127.0.0.1:8080/=basic:me:a:b";
        let credentials = Credentials::parse(text).unwrap();
        let bearer = Some("Bearer t1".to_owned());
        assert_eq!(shown(&credentials, "https://a.example/team"), bearer);
        assert_eq!(
            shown(&credentials, "https://a.example/team/sha256/00"),
            bearer
        );
        for other in [
            "https://a.example/teams/x",
            "https://a.example/",
            "https://a.example:444/team/x",
            "http://a.example/team/x",
            "https://b.example/team/x",
        ] {
            assert_eq!(shown(&credentials, other), None, "{other}");
        }
        let basic = shown(&credentials, "http://127.0.0.1:8080/sha256/00");
        assert_eq!(basic.as_deref(), Some("Basic bWU6YTpi"));
    }

    #[test]
    fn secrets_are_neither_printed_nor_sent_unencrypted() {
        let credentials = Credentials::parse("https://a.example=bearer:hush").unwrap();
        assert!(!format!("{credentials:?}").contains("hush"));
        for bad in [
            "hush",
            "https://a.example=hush",
            "https://a.example=basic:hush",
            "http://a.example=bearer:hush",
            "nowhere=bearer:hush",
            "https://a.example=bearer:hush\u{7f}",
        ] {
            let error = Credentials::parse(bad).unwrap_err().to_string();
            assert!(!error.contains("hush"), "{error}");
        }
    }
}
