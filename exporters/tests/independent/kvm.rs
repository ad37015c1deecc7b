//! What runs an image, as libvirt's own schema and a shell see it.

use std::path::Path;

use lunikernel_exporters::checks::Firmware;
use lunikernel_exporters::kvm::{Machine, domain_xml, run_script};

use crate::sample::identity;
use crate::tools::{need, run};

const SCHEMA: &str = "/usr/share/libvirt/schemas/domain.rng";

fn machines() -> impl Iterator<Item = Machine> {
    let all = [Firmware::Bios, Firmware::Uefi, Firmware::Hybrid];
    let both = all
        .into_iter()
        .flat_map(|firmware| [(firmware, true), (firmware, false)]);
    both.map(|(firmware, net)| Machine {
        name: "hello-1.0".to_owned(),
        memory_mib: 256,
        firmware,
        net,
        old_virtio: firmware == Firmware::Bios,
    })
}

#[test]
fn the_domain_is_valid_by_the_schema_of_libvirt() {
    let Some(xmllint) = need("xmllint") else {
        return;
    };
    if !Path::new(SCHEMA).exists() {
        let test = lunikernel_testing::this_test();
        return lunikernel_testing::left_out(&test, &format!("there is no {SCHEMA}"));
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("domain.xml");
    for machine in machines() {
        fs_err::write(&file, domain_xml(&machine, &identity()).unwrap()).unwrap();
        let said = run(
            &xmllint,
            ["--noout", "--relaxng", SCHEMA, file.to_str().unwrap()],
        );
        assert!(said.contains("validates"), "{said}");
    }
}

#[test]
fn the_script_is_one() {
    let Some(shell) = need("sh") else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.sh");
    for machine in machines() {
        fs_err::write(&file, run_script(&machine).unwrap()).unwrap();
        run(&shell, ["-n", file.to_str().unwrap()]);
    }
}
