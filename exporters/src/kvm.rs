//! What runs an image under KVM: a domain for libvirt, and a script for QEMU alone.

use crate::checks::Firmware;
use crate::identity::Identity;

/// A machine that boots an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// What it is called: letters, digits, `.`, `_` and `-`. Its image is `NAME.qcow2`.
    pub name: String,
    /// Its memory in MiB.
    pub memory_mib: u32,
    /// What starts it. A hybrid disk is started by UEFI.
    pub firmware: Firmware,
    /// Whether it has a network interface.
    pub net: bool,
    /// Whether it knows only what virtio devices were before version 1 of its standard, as
    /// Solo5 does. On the newer of QEMU's two boards libvirt makes none of these.
    pub old_virtio: bool,
}

/// A machine cannot be called so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "could not call a machine `{0}`: expected 1 to 64 letters, digits, `.`, `_` and `-`, and no `-` or `.` first"
)]
pub struct NameError(String);

impl NameError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some("change `name` in the recipe".to_owned())
    }
}

/// A domain for `virsh define`. libvirt wants the absolute path of the image, so it says
/// that it is where libvirt keeps images. Its UUID comes from `identity`, labelled
/// `libvirt domain`.
///
/// # Errors
/// [`NameError`] where the name does not fit.
pub fn domain_xml(machine: &Machine, identity: &Identity) -> Result<String, NameError> {
    let name = checked(&machine.name)?;
    let uuid = identity.guid("libvirt domain");
    let memory = machine.memory_mib;
    let firmware = match machine.firmware {
        Firmware::Bios => "  <os>\n".to_owned(),
        Firmware::Uefi | Firmware::Hybrid => "  <os firmware='efi'>
    <firmware>
      <feature enabled='no' name='secure-boot'/>
    </firmware>\n"
            .to_owned(),
    };
    let board = board(machine);
    let net = match machine.net {
        true => {
            "    <interface type='network'>
      <source network='default'/>
      <model type='virtio'/>
    </interface>\n"
        }
        false => "",
    };
    Ok(format!(
        "<domain type='kvm'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <memory unit='MiB'>{memory}</memory>
  <vcpu>1</vcpu>
{firmware}    <type arch='x86_64' machine='{board}'>hvm</type>
    <boot dev='hd'/>
  </os>
  <features>
    <acpi/>
  </features>
  <cpu mode='host-passthrough'/>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/var/lib/libvirt/images/{name}.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
{net}    <serial type='pty'>
      <target type='isa-serial' port='0'/>
    </serial>
    <console type='pty'>
      <target type='serial' port='0'/>
    </console>
    <rng model='virtio'>
      <backend model='random'>/dev/urandom</backend>
    </rng>
  </devices>
</domain>
"
    ))
}

/// A shell script that starts the image, which lies beside it, with QEMU alone: by KVM where
/// there is one. What the machine writes to its disk is forgotten.
///
/// # Errors
/// [`NameError`] where the name does not fit.
pub fn run_script(machine: &Machine) -> Result<String, NameError> {
    let name = checked(&machine.name)?;
    let memory = machine.memory_mib;
    let look = r#"firmware=
for code in "${OVMF:-}" /usr/share/OVMF/OVMF_CODE_4M.fd /usr/share/OVMF/OVMF_CODE.fd \
    /usr/share/edk2/x64/OVMF_CODE.4m.fd /usr/share/edk2/ovmf/OVMF_CODE.fd; do
    if [ -n "$code" ] && [ -e "$code" ]; then
        firmware=$(doubled "$code")
        set -- -drive "if=pflash,unit=0,format=raw,readonly=on,file=$firmware" "$@"
        break
    fi
done
"#;
    // Without firmware for UEFI, QEMU starts its BIOS, which a hybrid disk boots under too.
    let insist = r#"if [ -z "$firmware" ]; then
    echo "$0: found no firmware for UEFI: install OVMF (package ovmf, or edk2-ovmf), or name" >&2
    echo "its code, as OVMF=/usr/share/OVMF/OVMF_CODE_4M.fd" >&2
    exit 1
fi
"#;
    let firmware = match machine.firmware {
        Firmware::Bios => String::new(),
        Firmware::Uefi => format!("{look}{insist}"),
        Firmware::Hybrid => look.to_owned(),
    };
    let board = board(machine);
    let net = match machine.net {
        true => "-nic user,model=virtio-net-pci",
        false => "-nic none",
    };
    Ok(format!(
        r#"#!/bin/sh
# Starts {name} with QEMU; its console is this terminal, and Ctrl-A X ends it.
# Options of QEMU may follow. ACCEL=tcg does without KVM, where that does not work; OVMF
# names the firmware, where it is not found.
set -eu
# A comma ends a value for QEMU, and two are one.
doubled() {{ printf '%s\n' "$1" | sed 's/,/,,/g'; }}
image=$(doubled "$(dirname -- "$0")/{name}.qcow2")
{firmware}exec qemu-system-x86_64 -machine "{board},accel=${{ACCEL:-kvm:tcg}}" -cpu max -m {memory} \
    -nographic -no-reboot -snapshot {net} \
    -drive "file=$image,format=qcow2,if=virtio" -device virtio-rng-pci "$@"
"#
    ))
}

fn board(machine: &Machine) -> &'static str {
    match machine.old_virtio {
        true => "pc",
        false => "q35",
    }
}

/// Names end up in XML, in a shell and in paths; such names need no quotes in any of them.
pub(crate) fn checked(name: &str) -> Result<&str, NameError> {
    let allowed = |it: u8| it.is_ascii_alphanumeric() || b"._-".contains(&it);
    let fits = (1..=64).contains(&name.len()) && name.bytes().all(allowed);
    match fits && !name.starts_with(['-', '.']) {
        true => Ok(name),
        false => Err(NameError(
            name.chars()
                .take(80)
                .collect::<String>()
                .escape_debug()
                .to_string(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use lunikernel_cache::Sha256;

    use super::*;

    #[test]
    fn names_that_would_need_quotes_are_refused() {
        let machine = |name: &str| Machine {
            name: name.to_owned(),
            memory_mib: 256,
            firmware: Firmware::Hybrid,
            net: true,
            old_virtio: false,
        };
        let identity = Identity::of(Sha256::of(b"test"));
        for name in [
            "",
            "-m",
            ".x",
            "a b",
            "a'b",
            "a/b",
            "<a>",
            "ä",
            "$(x)",
            &"a".repeat(65),
        ] {
            assert!(domain_xml(&machine(name), &identity).is_err(), "{name}");
            assert!(run_script(&machine(name)).is_err(), "{name}");
        }
        let xml = domain_xml(&machine("hello-1.0"), &identity).unwrap();
        assert!(xml.contains("<source file='/var/lib/libvirt/images/hello-1.0.qcow2'/>"));
        assert!(xml.contains(&identity.guid("libvirt domain").to_string()));
    }

    /// With a program in the place of QEMU that says what it is told.
    #[test]
    fn the_script_says_what_qemu_is_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a, b,c");
        fs_err::create_dir(&place).unwrap();
        let program = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs_err::write(&path, text).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs_err::set_permissions(&path, mode).unwrap();
        };
        program("qemu-system-x86_64", "#!/bin/sh\nprintf '%s\\n' \"$@\"\n");
        // Firmware is where this machine has it; nowhere, for the sake of this test.
        let nowhere = |script: String| script.replace("/usr/share", "/nowhere");
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let run = |firmware, ovmf: &str| {
            let machine = Machine {
                name: "hello".to_owned(),
                memory_mib: 300,
                firmware,
                net: false,
                old_virtio: false,
            };
            program("a, b,c/run.sh", &nowhere(run_script(&machine).unwrap()));
            let mut command = std::process::Command::new("/bin/sh");
            command.arg(place.join("run.sh")).env("PATH", &path);
            command.env("OVMF", ovmf).output().unwrap()
        };
        let doubled = format!("file={}/a,, b,,c/", folder.path().display());
        for (firmware, ovmf) in [
            (Firmware::Bios, ""),
            (Firmware::Hybrid, ""),
            (Firmware::Uefi, "run.sh"),
        ] {
            let ovmf = match ovmf {
                "" => String::new(),
                file => place.join(file).display().to_string(),
            };
            let output = run(firmware, &ovmf);
            let said = String::from_utf8(output.stdout).unwrap();
            assert!(
                said.contains(&format!("{doubled}hello.qcow2,format")),
                "{said}"
            );
            assert!(said.contains("-m\n300\n"), "{said}");
            let with_firmware = said.contains(&format!("readonly=on,{doubled}run.sh"));
            assert_eq!(with_firmware, firmware == Firmware::Uefi, "{said}");
        }
        let output = run(Firmware::Uefi, "");
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("found no firmware for UEFI"), "{said}");
    }
}
