//! What a command that may use the network is lent of the machine: how names are looked
//! up there, and which authorities vouch for servers. Everything else stays out of sight.
//!
//! None of it can change what is built, as the outputs of such a command are pinned. So
//! it is cut down to what such commands need, not to what would be reproducible.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use lunikernel_cache::regular::read_bounded;

/// Where programs find the authorities' certificates, below the root.
pub(super) const CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";
/// Where the C library finds name servers, below the root.
pub(super) const RESOLVER: &str = "etc/resolv.conf";
/// Where the C library finds names that no server knows, below the root.
pub(super) const HOSTS: &str = "etc/hosts";

/// Where distributions keep all certificates in one file.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// The largest of these files; bundles have some hundred KiB.
const MAX_SIZE: u64 = 8 << 20;
/// Options of the resolver that are about how servers are asked, and not about names.
const OPTIONS: &[&str] = &[
    "edns0",
    "single-request",
    "single-request-reopen",
    "trust-ad",
    "use-vc",
];

/// The certificates that this machine trusts: the file that `SSL_CERT_FILE` names, as for
/// other programs, else the distribution's.
pub(super) fn certificates() -> Option<Vec<u8>> {
    let named = std::env::var_os("SSL_CERT_FILE").filter(|name| !name.is_empty());
    let usual = BUNDLES.iter().map(PathBuf::from);
    named
        .map(PathBuf::from)
        .into_iter()
        .chain(usual)
        .find_map(|path| read(&path))
}

/// This machine's name servers, for [`RESOLVER`].
pub(super) fn resolver() -> String {
    read(Path::new("/etc/resolv.conf")).map_or_else(String::new, |text| only_servers(&text))
}

/// This machine's names of others, for [`HOSTS`].
pub(super) fn hosts() -> String {
    let own = "127.0.0.1 localhost\n::1 localhost\n";
    let others = read(Path::new("/etc/hosts")).map_or_else(String::new, |text| only_others(&text));
    format!("{own}{others}")
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let bytes = read_bounded(path, MAX_SIZE).ok()?;
    (!bytes.is_empty() && bytes.len() as u64 <= MAX_SIZE).then_some(bytes)
}

/// The lines of a resolv.conf(5) that say who is asked. Search lists stay outside: what a
/// name stands for is not to depend on whose machine it is.
fn only_servers(text: &[u8]) -> String {
    let mut kept = String::new();
    for line in String::from_utf8_lossy(text).lines() {
        let mut words = line.split_whitespace();
        let line = match words.next() {
            Some("nameserver") => words
                .next()
                .filter(|server| is_address(server))
                .map(|server| format!("nameserver {server}\n")),
            Some("options") => {
                let options: Vec<&str> = words.filter(|word| OPTIONS.contains(word)).collect();
                (!options.is_empty()).then(|| format!("options {}\n", options.join(" ")))
            }
            _ => None,
        };
        kept.extend(line);
    }
    kept
}

/// An address, of IPv6 also with the interface that it is reached through.
fn is_address(text: &str) -> bool {
    let (address, interface) = text.split_once('%').unwrap_or((text, "lo"));
    let is_name = |name: &str| {
        name.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    address.parse::<IpAddr>().is_ok() && is_name(interface)
}

/// The lines of a hosts(5) that are not about the machine itself, whose name is none of a
/// command's business.
fn only_others(text: &[u8]) -> String {
    let is_name = |name: &&str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        name.bytes().all(allowed)
    };
    let mut kept = String::new();
    for line in String::from_utf8_lossy(text).lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else {
            continue;
        };
        let names: Vec<&str> = words.filter(is_name).collect();
        if !address.is_loopback() && !address.is_unspecified() && !names.is_empty() {
            kept += &format!("{address} {}\n", names.join(" "));
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_resolver_only_its_servers_are_lent() {
        let text = b"# by hand\nsearch corp.example\ndomain corp.example\nnameserver 10.0.0.1\n\
            nameserver fe80::1%eth0 # zone\nnameserver nonsense\nnameserver\n\
            options ndots:5 edns0 trust-ad rotate\noptions ndots:2\nsortlist 10.0.0.0\n";
        assert_eq!(
            only_servers(text),
            "nameserver 10.0.0.1\nnameserver fe80::1%eth0\noptions edns0 trust-ad\n"
        );
        assert_eq!(only_servers(b"\xff\xfe\n"), "");
    }

    #[test]
    fn of_known_hosts_only_others_are_lent() {
        let text = b"127.0.0.1 localhost\n127.0.1.1 desk desk.corp.example\n::1 ip6-localhost\n\
            0.0.0.0 ads.example\n10.0.0.7\tmirror mirror.corp.example # near\n2001:db8::7 six\n\
            10.0.0.8\n10.0.0.9 bad;name good-name\nnonsense here\n";
        assert_eq!(
            only_others(text),
            "10.0.0.7 mirror mirror.corp.example\n2001:db8::7 six\n10.0.0.9 good-name\n"
        );
    }
}
