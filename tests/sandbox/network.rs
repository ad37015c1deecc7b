//! A command whose outputs are fixed may use the network, and what comes with sharing the
//! machine's stays closed to it. No other command reaches anything, in any sandbox.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};

use fs_err as fs;
use lunikernel_builder::plan::property;
use lunikernel_cache::tree::Entry;

use crate::bench::{Ask, Bench, ask};
use crate::engines::{DOCKER, PODMAN, address, get as get_from};
use crate::support::small::Small;
use crate::support::{hello, transcript};

in_every_sandbox! {
    a_command_with_a_fixed_output_reaches_a_server,
    no_other_command_reaches_a_server,
    sockets_that_lead_elsewhere_are_refused,
    nothing_listens_to_it_in_the_abstract_namespace,
    names_and_certificates_are_lent,
}

/// Whether loopback is that of the machine in there. Containers have a bridge's, unless
/// told otherwise, and a bridge cannot be had without changing the machine's network.
fn shares_the_machines(bench: &Bench) -> bool {
    let shares = bench.sandbox().name() == "native"
        || std::env::var("LUNI_ENGINE_NETWORK").is_ok_and(|name| name == "host");
    if !shares {
        let test = lunikernel_testing::this_test();
        lunikernel_testing::left_out(&test, "LUNI_ENGINE_NETWORK is not `host`");
    }
    shares
}

/// A server that answers everyone with `hello from outside`, and its port.
fn server() -> u16 {
    answering(TcpListener::bind("127.0.0.1:0").unwrap())
}

fn answering(server: TcpListener) -> u16 {
    let port = server.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in server.incoming().flatten() {
            let mut request = [0; 64];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello from outside");
        }
    });
    port
}

fn with_network(script: &str) -> Ask {
    ask(script).network(property::TO_BE_LOCKED)
}

fn a_command_with_a_fixed_output_reaches_a_server(bench: &Bench) {
    if !shares_the_machines(bench) {
        return;
    }
    let script = format!("get {}", server());
    let log = bench.run(&with_network(&script)).well();
    assert_eq!(log, "got hello from outside\n");
    let digest = format!("{}/4096", "0123456789abcdef".repeat(4));
    let log = bench.run(&ask(&script).network(&digest)).well();
    assert_eq!(log, "got hello from outside\n");
}

fn no_other_command_reaches_a_server(bench: &Bench) {
    let script = format!("get {}", server());
    for ask in [
        ask(&script),
        ask(&script).property(property::NETWORK, "off"),
    ] {
        assert_eq!(bench.run(&ask).well(), "get: ECONNREFUSED\n");
    }
}

fn sockets_that_lead_elsewhere_are_refused(bench: &Bench) {
    if !shares_the_machines(bench) {
        return;
    }
    let log = bench.run(&with_network("kinds")).well();
    assert_eq!(
        log,
        "tcp: done\nudp: done\nunix stream: EAFNOSUPPORT\nunix datagram: EAFNOSUPPORT\n\
         unix packet: EAFNOSUPPORT\nnetlink: EAFNOSUPPORT\npacket: EAFNOSUPPORT\n\
         vsock: EAFNOSUPPORT\nraw: EPERM\nraw with flags: EPERM\nping: EPERM\nsctp: EPERM\n\
         pair of streams: done\npair of packets: done\npair of datagrams: EPERM\n\
         pair of raw ones: EPERM\n"
    );
}

fn nothing_listens_to_it_in_the_abstract_namespace(bench: &Bench) {
    if !shares_the_machines(bench) {
        return;
    }
    let unique = tempfile::tempdir().unwrap();
    let name = format!("luni-{}", unique.path().file_name().unwrap().display());
    let streams = SocketAddr::from_abstract_name(format!("{name}-s")).unwrap();
    let streams = UnixListener::bind_addr(&streams).unwrap();
    let datagrams = SocketAddr::from_abstract_name(format!("{name}-d")).unwrap();
    let datagrams = UnixDatagram::bind_addr(&datagrams).unwrap();
    streams.set_nonblocking(true).unwrap();
    datagrams.set_nonblocking(true).unwrap();

    let script = format!("abstract {name}-s , abstract {name}-d");
    let log = bench.run(&with_network(&script)).well();
    assert_eq!(log, "tried\ntried\n");
    let mut byte = [0];
    assert!(streams.accept().is_err() && datagrams.recv(&mut byte).is_err());
}

fn names_and_certificates_are_lent(bench: &Bench) {
    if !shares_the_machines(bench) {
        return;
    }
    let nothing = bench
        .run(&ask("cat /etc/resolv.conf , cat /etc/hosts"))
        .well();
    assert!(
        !nothing.contains("nameserver") && !nothing.contains("localhost"),
        "{nothing}"
    );

    let log = bench
        .run(&with_network("cat /etc/hosts , cat /etc/motd"))
        .well();
    assert!(
        log.contains("127.0.0.1") && log.contains("localhost"),
        "{log}"
    );
    assert!(log.ends_with("hello\n"), "{log}");
    let servers = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let log = bench.run(&with_network("cat /etc/resolv.conf")).well();
    for server in servers
        .lines()
        .filter(|line| line.starts_with("nameserver"))
    {
        assert!(log.contains(server), "{server} is not in\n{log}");
    }

    const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
    let show = format!("cat {CERTIFICATES}");
    if let Ok(own) = fs::read_to_string(CERTIFICATES) {
        assert!(
            bench.run(&with_network(&show)).well() == own,
            "others than the machine's"
        );
    }
    let roots = with_network(&show).root(&CERTIFICATES[1..], bench.file("the root's own\n"));
    assert_eq!(bench.run(&roots).well(), "the root's own\n");
    // No file can be laid below what is none.
    let blocked = with_network("cat /etc/ssl , cat /etc/hosts").root("etc/ssl", bench.file("x\n"));
    let log = bench.run(&blocked).well();
    assert!(log.starts_with("x\n") && log.contains("localhost"), "{log}");
}

#[test]
fn an_action_that_does_not_say_what_comes_of_it_has_no_network() {
    let bench = Bench::new();
    let refused = |ask: &Ask| {
        let run = bench.sandbox().run(&bench.store(ask), &ask.surroundings);
        run.unwrap_err().to_string()
    };
    let bare = refused(&ask("show").property(property::NETWORK, "on"));
    assert!(
        bare.contains("has no platform property `luni-fixed-output`"),
        "{bare}"
    );
    for output in ["", "anything", "00/1", &format!("{}/x", "0".repeat(64))] {
        let error = refused(&ask("show").network(output));
        assert!(error.contains("expected `SHA256/SIZE`"), "{error}");
    }
    let other = refused(&ask("show").property(property::NETWORK, "yes"));
    assert!(
        other.contains("is `yes`; expected `on` or `off`"),
        "{other}"
    );
}

/// The address under which this machine is known to others, as its bridges are.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // Nothing is sent: connecting chooses the way, and with it the address.
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().unwrap().ip())
}

/// Without any setting, in the engine's usual network. Docker's that `scripts/engines`
/// starts has none, and then an error says what helps.
fn an_engine_gives_its_usual_network(engine: &str) {
    let test = lunikernel_testing::this_test();
    let Some(engine) = address(engine) else {
        return;
    };
    let Some(own) = own_address() else {
        lunikernel_testing::left_out(&test, "this machine has no network");
        return;
    };
    let server = TcpListener::bind((own, 0)).unwrap();
    let port = answering(server);
    let get = format!("busybox wget -q -O out http://{own}:{port}/");
    let steps = format!(
        "  - name: get\n    root: [base, shell]\n    network: true\n    run: {get}\n    outputs: [out]\n"
    );
    let Some(small) = Small::new(&test, &steps) else {
        return;
    };
    let mut lock = hello::luni(&small.path("cache"));
    for mirror in small.mirrors() {
        lock.args(["--mirror", mirror]);
    }
    let output = lock
        .args(["--sandbox", "docker", "lock", "recipe"])
        .current_dir(small.path(""))
        .env("DOCKER_HOST", &engine)
        .env_remove("LUNI_ENGINE_NETWORK")
        .output()
        .unwrap();
    let text = transcript(&output);
    let networks = get_from(&engine, "networks");
    let mut networks = networks.as_array().unwrap().iter();
    if networks.any(|network| network["Driver"] == "bridge") {
        assert!(output.status.success(), "{text}");
        assert!(text.contains("+ get: outputs "), "{text}");
        return;
    }
    assert!(!output.status.success(), "{text}");
    for part in [
        "could not run a step that uses the network: ",
        "the container has no network but its loopback interface",
        "LUNI_ENGINE_NETWORK=host",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn docker_gives_its_usual_network_or_says_that_it_has_none() {
    an_engine_gives_its_usual_network(DOCKER);
}

#[test]
fn podman_gives_its_usual_network_or_says_that_it_has_none() {
    an_engine_gives_its_usual_network(PODMAN);
}

/// What a root has in the places of what is lent is hidden, and nowhere else changed.
#[test]
fn what_the_root_says_of_name_servers_is_hidden() {
    let bench = Bench::new();
    let link = Entry::Symlink {
        target: "/etc/motd".to_owned(),
    };
    let ask = with_network("cat /etc/hosts , cat /etc/link , stat /etc , stat /etc/resolv.conf")
        .root("etc/hosts", bench.file("10.0.0.1 theirs\n"))
        .root("etc/resolv.conf", link);
    let log = bench.run(&ask).well();
    assert!(!log.contains("theirs") && log.contains("hello\n"), "{log}");
    assert!(
        log.ends_with("/etc 40755 0:0 315532800\n/etc/resolv.conf 100644 0:0 315532800\n"),
        "{log}"
    );
}
