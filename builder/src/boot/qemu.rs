//! QEMU: where it is, and what it is told.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::watch::Watched;
use super::{Accel, BootError, Entry, Forward, Kernel, Machine, Module, Options, http};

const PROGRAM: &str = "qemu-system-x86_64";

/// The kernel's `COMMAND_LINE_SIZE` on x86; it would silently cut off what is beyond.
const MAX_CMDLINE: usize = 2048;

/// Looks for QEMU in the folders of `search`, or of `PATH`.
pub(super) fn find(search: Option<&OsStr>) -> Result<PathBuf, BootError> {
    program(PROGRAM, search).ok_or(BootError::NoQemu { program: PROGRAM })
}

/// Looks for a program in the folders of `search`, or of `PATH`.
pub(super) fn program(name: &str, search: Option<&OsStr>) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(search.unwrap_or(&path))
        .map(|folder| folder.join(name))
        .find(|program| {
            rustix::fs::access(program, rustix::fs::Access::EXEC_OK).is_ok() && program.is_file()
        })
}

/// What QEMU starts a machine from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bootable<'a> {
    /// A kernel, which it loads itself.
    Kernel(&'a Kernel),
    /// A disc, which the machine's firmware boots.
    Disc(&'a Path),
}

/// What QEMU is told, but for what is chosen just before it starts.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    from: Bootable<'a>,
    memory_mib: u32,
    net: bool,
    /// Whether somebody types what goes to the console.
    typed: bool,
    /// The ports that are wanted; 0 where a free one is to be chosen.
    pub(super) forwards: Vec<Forward>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        from: Bootable<'a>,
        machine: &Machine,
        options: &Options,
    ) -> Result<Self, BootError> {
        if let Bootable::Kernel(kernel) = from {
            kernel.check_cmdline()?;
        }
        let mut forwards = options.forwards.clone();
        if let Some(test) = &options.http {
            http::check(test)?;
            if !forwards.iter().any(|forward| forward.guest == test.port) {
                forwards.push(Forward {
                    host: 0,
                    guest: test.port,
                });
            }
        }
        Ok(Self {
            from,
            memory_mib: options.memory_mib.unwrap_or(machine.memory_mib),
            net: machine.net || !forwards.is_empty(),
            typed: options.is_typed(),
            forwards,
        })
    }

    /// What `from` starts and nothing else, in `memory_mib`.
    pub(super) fn alone(from: Bootable<'a>, memory_mib: u32) -> Self {
        Self {
            from,
            memory_mib,
            net: false,
            typed: false,
            forwards: Vec::new(),
        }
    }

    /// The kind of machine; that for Linux without the disks and sensors that nothing here
    /// uses.
    fn chipset(&self) -> &'static str {
        match self.from {
            // For each device Linux asks the firmware how interrupts are routed. The
            // older machine works its answer out in a loop of ACPI's byte code, which
            // takes Linux a tenth of a second under emulation; this one has it ready.
            Bootable::Kernel(Kernel {
                entry: Entry::Linux { .. },
                ..
            }) => "q35,sata=off,smbus=off",
            _ => "pc",
        }
    }

    pub(super) fn command(&self, qemu: &Path, accel: Accel, forwards: &[Forward]) -> Command {
        let mut command = Command::new(qemu);
        command
            .args(["-nodefaults", "-no-user-config", "-no-reboot"])
            .args(["-display", "none", "-machine", self.chipset(), "-smp", "1"])
            .args(match accel {
                Accel::Kvm => ["-accel", "kvm", "-cpu", "host"],
                // The feature says that bytes are filled and copied as quickly one by one
                // as by the word, which is not so where each is emulated.
                Accel::Tcg | Accel::Process => ["-accel", "tcg", "-cpu", "max,-erms"],
            })
            .args(["-m", &self.memory_mib.to_string()])
            .args(["-chardev", self.console()])
            .args(["-serial", "chardev:console"]);
        match self.from {
            Bootable::Kernel(kernel) => kernel.tell(&mut command, accel),
            Bootable::Disc(disc) => {
                command
                    .arg("-drive")
                    .arg(drive("disc,media=cdrom,readonly=on", disc))
                    .args(["-device", "ide-cd,drive=disc,bootindex=0"]);
            }
        }
        if self.net {
            let mut user = "user,id=net,restrict=on".to_owned();
            for Forward { host, guest } in forwards {
                user.push_str(&format!(",hostfwd=tcp:127.0.0.1:{host}-:{guest}"));
            }
            // The option ROM is for booting from the network.
            command
                .args(["-netdev", &user])
                .args(["-device", "virtio-net-pci,netdev=net,romfile="]);
        }
        command
    }

    /// What the console is. Of one that is shared QEMU takes the keys for itself that begin
    /// with Ctrl-A: X behind it ends QEMU.
    fn console(&self) -> &'static str {
        match self.typed {
            true => "stdio,id=console,signal=off,mux=on",
            false => "stdio,id=console,signal=off",
        }
    }

    /// What is known of the machine once it runs.
    pub(super) fn watched<'f>(&self, accel: Accel, forwards: &'f [Forward]) -> Watched<'f> {
        Watched {
            accel,
            forwards,
            good_end: match self.from {
                // Solo5 writes 41 to the port of `isa-debug-exit`, and QEMU ends with 2n + 1.
                Bootable::Kernel(Kernel {
                    entry: Entry::Solo5Virtio { .. },
                    ..
                }) => 83,
                Bootable::Kernel(_) | Bootable::Disc(_) => 0,
            },
            by_grub: matches!(self.from, Bootable::Disc(_)),
        }
    }
}

impl Kernel {
    fn check_cmdline(&self) -> Result<(), BootError> {
        let refuse = |why| {
            Err(BootError::Value {
                what: "the kernel's command line",
                value: self.cmdline.clone(),
                why,
            })
        };
        if self.cmdline.len() >= MAX_CMDLINE {
            return refuse("the kernel takes at most 2047 bytes");
        }
        if self.cmdline.chars().any(char::is_control) {
            return refuse("expected one line without control characters");
        }
        Ok(())
    }

    /// Its command line, for a processor that is emulated or is not.
    fn cmdline_for(&self, accel: Accel) -> String {
        match (&self.entry, accel) {
            // An emulated timer that is late because this machine is busy is none that is
            // broken. Under KVM, Linux knows that by itself.
            (Entry::Linux { .. }, Accel::Tcg) => format!("{} no_timer_check", self.cmdline),
            _ => self.cmdline.clone(),
        }
    }

    /// Tells QEMU of it and of what goes with it.
    fn tell(&self, command: &mut Command, accel: Accel) {
        command.args(["-append", &self.cmdline_for(accel)]);
        // A kernel that starts by multiboot is told the names of its files, which must
        // not be those of this machine's folders.
        let folder = match (&self.entry, self.file.parent()) {
            (Entry::Modules(_), Some(folder)) if folder.is_absolute() => folder,
            _ => Path::new(""),
        };
        if folder != Path::new("") {
            command.current_dir(folder);
        }
        command.arg("-kernel").arg(name_in(folder, &self.file));
        match &self.entry {
            Entry::Linux { initramfs } => {
                command
                    .args(["-object", "rng-random,id=entropy,filename=/dev/urandom"])
                    .args(["-device", "virtio-rng-pci,rng=entropy"]);
                if let Some(initramfs) = initramfs {
                    command.arg("-initrd").arg(initramfs);
                }
            }
            Entry::Modules(modules) if modules.is_empty() => {}
            Entry::Modules(modules) => {
                command.arg("-initrd").arg(initrd(folder, modules));
            }
            Entry::Solo5Virtio { disk } => {
                command.args(["-device", "isa-debug-exit"]);
                if let Some(disk) = disk {
                    command
                        .arg("-drive")
                        .arg(drive("disk", disk))
                        .args(["-device", "virtio-blk-pci,drive=disk,disable-modern=on"]);
                }
            }
        }
    }
}

/// What `-drive` is told of `file`, known as `id` and what is said of it there.
fn drive(id: &str, file: &Path) -> OsString {
    let mut drive = OsString::from(format!("if=none,format=raw,id={id},file="));
    drive.push(escaped(file.as_os_str()));
    drive
}

/// Multiboot's modules as `-initrd` has them: `FILE TEXT,FILE TEXT`.
fn initrd(folder: &Path, modules: &[Module]) -> OsString {
    let mut all = OsString::new();
    for (index, module) in modules.iter().enumerate() {
        if index > 0 {
            all.push(",");
        }
        all.push(escaped(name_in(folder, &module.file).as_os_str()));
        if !module.cmdline.is_empty() {
            all.push(" ");
            all.push(escaped(OsStr::new(&module.cmdline)));
        }
    }
    all
}

/// What a file is called in `folder`; what is elsewhere keeps its path.
fn name_in<'p>(folder: &Path, file: &'p Path) -> &'p Path {
    file.strip_prefix(folder).unwrap_or(file)
}

/// As QEMU reads it in a list: a comma is written twice.
fn escaped(text: &OsStr) -> OsString {
    let bytes = text.as_bytes().split(|byte| *byte == b',');
    OsString::from_vec(bytes.collect::<Vec<_>>().join(&b",,"[..]))
}

/// The same ports, with a free one in place of each 0.
///
/// Between choosing it here and QEMU's taking it another program may be quicker;
/// QEMU says so then, and another one is chosen.
pub(super) fn choose_ports(wanted: &[Forward]) -> Result<Vec<Forward>, BootError> {
    // Held until all are chosen, so that none is chosen twice.
    let mut held = Vec::new();
    let mut chosen = Vec::new();
    for forward in wanted {
        let mut host = forward.host;
        if host == 0 {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                .map_err(BootError::io("find a free port of 127.0.0.1"))?;
            host = listener
                .local_addr()
                .map_err(BootError::io("find a free port of 127.0.0.1"))?
                .port();
            held.push(listener);
        } else {
            // It can still be taken until QEMU has it, and then QEMU says so.
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, host)).map_err(|error| {
                match error.kind() {
                    ErrorKind::AddrInUse | ErrorKind::PermissionDenied => {
                        BootError::PortTaken { port: host }
                    }
                    _ => BootError::io("look whether a port of 127.0.0.1 is free")(error),
                }
            })?;
            held.push(listener);
        }
        chosen.push(Forward { host, ..*forward });
    }
    Ok(chosen)
}
