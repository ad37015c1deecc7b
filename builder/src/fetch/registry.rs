//! What registries of container images want beyond plain HTTP: to be told what kinds of
//! manifest are understood, and a token, which anybody gets from whom they name
//! (OCI Distribution Specification 1.1; RFC 6750 §3).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use url::Url;

use super::client::{Body, Opener};
use super::credentials::is_here;
use super::error::{Answer, FetchError, Trouble, shown};

/// The kinds of manifest that are understood.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
                         application/vnd.oci.image.manifest.v1+json, \
                         application/vnd.docker.distribution.manifest.list.v2+json, \
                         application/vnd.docker.distribution.manifest.v2+json";
/// The largest answer with a token in it that is read, in bytes.
const MAX_TOKEN: usize = 256 << 10;

/// The tokens that were handed out, by repository.
#[derive(Default)]
pub(super) struct Tokens(Mutex<BTreeMap<String, HeaderValue>>);

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

impl Tokens {
    fn get(&self, repository: &str) -> Option<HeaderValue> {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(repository).cloned()
    }

    fn set(&self, repository: &str, token: Option<HeaderValue>) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match token {
            Some(token) => drop(tokens.insert(repository.to_owned(), token)),
            None => drop(tokens.remove(repository)),
        }
    }
}

/// The repository that a manifest or blob of a registry belongs to, and whether it is a
/// manifest; `None` for other addresses.
pub(super) fn repository(url: &Url) -> Option<(String, bool)> {
    let path = url.path().strip_prefix("/v2/")?;
    let (path, _) = path.rsplit_once('/')?;
    let (name, kind) = path.rsplit_once('/')?;
    let is_manifest = match kind {
        "manifests" => true,
        "blobs" => false,
        _ => return None,
    };
    let server = url.origin().ascii_serialization();
    Some((format!("{server}/{name}"), is_manifest))
}

/// What a token for a manifest or blob has to allow, whatever the registry says: to read
/// what is in its repository (Docker Registry v2 authentication, "Token Scope
/// Documentation").
fn scope(url: &Url) -> Option<String> {
    let name = url.path().strip_prefix("/v2/")?;
    let (name, _) = name.rsplit_once('/')?;
    let (name, _) = name.rsplit_once('/')?;
    Some(format!("repository:{name}:pull"))
}

impl Opener {
    /// Opens a manifest or blob of a registry.
    pub(super) async fn open_registry(
        &self,
        url: &Url,
        from: u64,
        (repository, is_manifest): (String, bool),
    ) -> Result<Body, Trouble> {
        let accept = |request: RequestBuilder| match is_manifest {
            true => request.header(ACCEPT, MANIFESTS),
            false => request,
        };
        let with = |token: HeaderValue| -> Result<RequestBuilder, FetchError> {
            let request = self.http()?.request(Method::GET, url.clone());
            Ok(accept(request).header(AUTHORIZATION, token))
        };
        if let Some(token) = self.tokens().get(&repository) {
            match self.open_http(with(token)?, from).await {
                Err(Trouble::Answer(Answer::Status { code: 401, .. })) => {
                    // It has expired.
                    self.tokens().set(&repository, None);
                }
                other => return other,
            }
        }
        let plain = || Ok::<_, FetchError>(accept(self.request(Method::GET, url)?));
        let answer = self.open_or_challenge(url, plain()?, from).await?;
        let challenge = match answer {
            Opened::Body(body) => return Ok(body),
            Opened::Challenge(challenge) => challenge,
        };
        let token = self.token(url, &challenge).await?;
        self.tokens().set(&repository, Some(token.clone()));
        self.open_http(with(token)?, from).await
    }

    async fn open_or_challenge(
        &self,
        url: &Url,
        request: RequestBuilder,
        from: u64,
    ) -> Result<Opened, Trouble> {
        let again = request.try_clone();
        let response = self.send(request).await?;
        // Whom a registry redirects to speaks for itself only.
        if response.status() == StatusCode::UNAUTHORIZED
            && response.url().origin() == url.origin()
            && let Some(challenge) = Challenge::of(&response)
        {
            return Ok(Opened::Challenge(challenge));
        }
        Ok(Opened::Body(match again {
            Some(again) if from > 0 => self.open_http(again, from).await?,
            _ => self.body(response, 0)?,
        }))
    }

    /// Asks for a token to pull what `url` is of.
    ///
    /// Who asks is what `LUNI_MIRROR_AUTH` says for that address, if the registry is
    /// trusted as well: it has credentials of its own, or hands out its tokens itself.
    /// Otherwise any server could send one to any other, and have what that one gives.
    async fn token(&self, url: &Url, challenge: &Challenge) -> Result<HeaderValue, Trouble> {
        let wrong = |why: &str| {
            Trouble::from(Answer::Unusable(format!(
                "it wants a token of `{}`, {why}",
                challenge.realm.escape_debug()
            )))
        };
        let mut realm = Url::parse(&challenge.realm).map_err(|_| wrong("which is no address"))?;
        let safe = realm.scheme() == "https"
            || (realm.scheme() == "http" && is_here(&realm) && is_here(url));
        if !safe {
            return Err(wrong("which is not `https:`"));
        }
        if url.scheme() != "https" && !is_here(url) {
            return Err(wrong(
                "which nobody may see on its way to an `http:` address",
            ));
        }
        if let Some(service) = &challenge.service {
            realm.query_pairs_mut().append_pair("service", service);
        }
        if let Some(scope) = scope(url) {
            realm.query_pairs_mut().append_pair("scope", &scope);
        }
        let request = if realm.origin() == url.origin() || self.knows(url) {
            self.request(Method::GET, &realm)?
        } else {
            self.http()?.request(Method::GET, realm.clone())
        };
        let response = self.send(request).await?;
        let status = response.status();
        if !status.is_success() {
            realm.set_query(None);
            let refused = Answer::Unusable(format!(
                "{} gives no token for it: it answered with HTTP status {}",
                shown(&realm),
                status.as_u16()
            ));
            let answer = super::status_answer(&response);
            return Err(if answer.is_transient() {
                answer
            } else {
                refused
            }
            .into());
        }
        let mut body = self.body(response, 0)?;
        let (mut bytes, mut piece) = (Vec::new(), Vec::new());
        loop {
            body.read(&mut piece).await?;
            if piece.is_empty() {
                break;
            }
            bytes.extend_from_slice(&piece);
            if bytes.len() > MAX_TOKEN {
                return Err(wrong("which answers with too much"));
            }
        }
        #[derive(Deserialize)]
        struct Given {
            token: Option<String>,
            access_token: Option<String>,
        }
        let given = serde_json::from_slice::<Given>(&bytes).ok();
        let token = given.and_then(|given| given.token.or(given.access_token));
        let token = token.and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok());
        let mut token = token.ok_or_else(|| wrong("which answers with none"))?;
        token.set_sensitive(true);
        Ok(token)
    }
}

enum Opened {
    Body(Body),
    Challenge(Challenge),
}

/// Who hands out tokens, and what has to be said to them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Challenge {
    realm: String,
    service: Option<String>,
}

impl Challenge {
    fn of(response: &Response) -> Option<Self> {
        let headers = response.headers().get_all(WWW_AUTHENTICATE);
        headers
            .iter()
            .find_map(|header| Self::parse(header.to_str().ok()?))
    }

    /// Reads `Bearer realm="…",service="…",scope="…"` (RFC 9110 §11.6.1).
    fn parse(text: &str) -> Option<Self> {
        let (scheme, mut rest) = text.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut challenge = Self::default();
        loop {
            rest = rest.trim_start_matches([' ', ',']);
            let Some((key, after)) = rest.split_once('=') else {
                break;
            };
            let value = if let Some(quoted) = after.strip_prefix('"') {
                let (value, behind) = quoted.split_once('"')?;
                rest = behind;
                value
            } else {
                let (value, behind) = after.split_once(',').unwrap_or((after, ""));
                rest = behind;
                value.trim()
            };
            match key.trim().to_ascii_lowercase().as_str() {
                "realm" => challenge.realm = value.to_owned(),
                "service" => challenge.service = Some(value.to_owned()),
                _ => {}
            }
        }
        (!challenge.realm.is_empty()).then_some(challenge)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::fetch::test_server::{Server, respond};
    use crate::fetch::{Credentials, FetchOptions};

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let read = |text: &str| {
            let challenge = Challenge::parse(text)?;
            Some((challenge.realm, challenge.service))
        };
        let text = "bearer realm=\"https://a.example/t?x=1\", service=r ,error=\"invalid\",\
                    scope=\"repository:a/b:pull,push\"";
        let expected = ("https://a.example/t?x=1".to_owned(), Some("r".to_owned()));
        assert_eq!(read(text), Some(expected));
        for none in [
            "",
            "Bearer",
            "Bearer x",
            "Basic realm=\"x\"",
            "Bearer realm=\"x",
        ] {
            assert_eq!(read(none), None, "{none}");
        }
    }

    /// What the server of tokens at another address than the registry's is asked, as
    /// whom, where these have credentials.
    async fn asked(known: impl Fn(&Url, &Url) -> String) -> (String, Option<String>) {
        let tokens =
            Server::start(|_, stream| respond(stream, "200 OK", &[], b"{\"token\":\"t\"}"));
        let realm = tokens.url("token");
        let challenge = realm.clone();
        let registry = Server::start(move |request, stream| {
            if request.headers.get("authorization").map(String::as_str) == Some("Bearer t") {
                return respond(stream, "200 OK", &[], b"blob");
            }
            write!(
                stream,
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"{challenge}\",\
                 service=\"s\",scope=\"repository:secret/x:pull,push\"\r\n\
                 Connection: close\r\nContent-Length: 0\r\n\r\n"
            )
        });
        let url = registry.url("v2/a/b/blobs/sha256:00");
        let options = FetchOptions {
            credentials: Credentials::parse(&known(&registry.url(""), &realm)).unwrap(),
            ..FetchOptions::default()
        };
        let opened = Opener::new(&options).open(&url, 0).await;
        assert!(opened.is_ok());
        let [request] = <[_; 1]>::try_from(tokens.requests()).unwrap();
        (
            request.target,
            request.headers.get("authorization").cloned(),
        )
    }

    #[tokio::test]
    async fn a_server_has_others_asked_only_for_its_own_and_as_nobody() {
        let own = "/token?service=s&scope=repository%3Aa%2Fb%3Apull".to_owned();
        let secret = Some("Bearer secret".to_owned());
        let only_realm = asked(|_, realm| format!("{realm}=bearer:secret")).await;
        assert_eq!(only_realm, (own.clone(), None));
        let both =
            asked(|registry, realm| format!("{realm}=bearer:secret {registry}=bearer:me")).await;
        assert_eq!(both, (own, secret));
    }

    #[test]
    fn only_manifests_and_blobs_are_of_a_repository() {
        let of = |text: &str| repository(&Url::parse(text).unwrap());
        let url = Url::parse("https://a.example/v2/x/y/blobs/sha256:00").unwrap();
        assert_eq!(scope(&url).as_deref(), Some("repository:x/y:pull"));
        let name = "https://a.example:5000/x/y".to_owned();
        assert_eq!(
            of("https://a.example:5000/v2/x/y/manifests/1"),
            Some((name.clone(), true))
        );
        assert_eq!(
            of("https://a.example:5000/v2/x/y/blobs/sha256:00"),
            Some((name, false))
        );
        for other in ["https://a.example/v2/x", "https://a.example/x/blobs/y"] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
