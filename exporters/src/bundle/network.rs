//! What the texts of bundles say about networks.

/// How an interface is made that a machine is given.
pub(super) const TAP: &str = "    ip tuntap add dev tap0 mode tap user USER
    ip addr add 10.0.0.1/24 dev tap0
    ip link set dev tap0 up
";

/// How what is behind such an interface reaches further; `table` is what nftables is to call
/// its rules.
pub(super) fn further(table: &str) -> String {
    format!(
        "    sysctl -w net.ipv4.ip_forward=1
    nft add table ip {table}
    nft add chain ip {table} nat '{{ type nat hook postrouting priority 100; }}'
    nft add rule ip {table} nat ip saddr 10.0.0.0/24 masquerade

Or put the interface into a bridge: ip link set dev tap0 master br0.
"
    )
}

#[cfg(test)]
mod tests {
    use super::{TAP, further};

    #[test]
    fn commands_are_set_apart() {
        let further = further("table");
        let (commands, _) = further.split_once("\n\n").unwrap();
        for line in TAP.lines().chain(commands.lines()) {
            assert!(
                line.starts_with("    ") && !line.starts_with("     "),
                "{line}"
            );
        }
    }
}
