//! The software bill of materials, as SPDX 2.3 JSON.
//!
//! SPDX wants a date and a unique name; both are functions of the inputs here, so that
//! the document is as reproducible as what it describes.

use std::collections::BTreeMap;

use lunikernel_cache::Sha256;
use lunikernel_cache::artefact::Input;
use serde_json::{Value, json};

use super::listed::Listed;
use crate::assemble::yocto::{Expression, ListedPackage};
use crate::recipe::Recipe;

/// When the document says it was made: the time that every build is told.
const CREATED: &str = "1980-01-01T00:00:00Z";

/// The document of an artefact made by `recipe` from `inputs`, among them an image with
/// the packages `listed`; `identity` is the digest that stands for all inputs together.
pub(super) fn document(
    recipe: &Recipe,
    inputs: &[Input],
    listed: &Listed,
    identity: &Sha256,
) -> Value {
    let mut packages = vec![json!({
        "SPDXID": "SPDXRef-Lunikernel",
        "name": recipe.name,
        "versionInfo": recipe.version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "primaryPackagePurpose": "OPERATING-SYSTEM",
    })];
    let mut relationships = vec![json!({
        "spdxElementId": "SPDXRef-DOCUMENT",
        "relationshipType": "DESCRIBES",
        "relatedSpdxElement": "SPDXRef-Lunikernel",
    })];
    for (number, input) in inputs.iter().enumerate() {
        let id = format!("SPDXRef-Input-{number}");
        packages.push(package(&id, input));
        relationships.push(json!({
            "spdxElementId": "SPDXRef-Lunikernel",
            "relationshipType": "GENERATED_FROM",
            "relatedSpdxElement": id,
        }));
    }
    // What licences are called that SPDX has no name for.
    let mut others = BTreeMap::new();
    for (number, listed_package) in listed.packages.iter().enumerate() {
        let id = format!("SPDXRef-Package-{number}");
        let licence = listed.licences.get(&listed_package.name);
        others.extend(licence.iter().flat_map(|licence| &licence.others));
        packages.push(contained(&id, listed_package, licence));
        relationships.push(json!({
            "spdxElementId": "SPDXRef-Lunikernel",
            "relationshipType": "CONTAINS",
            "relatedSpdxElement": id,
        }));
    }
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("{}-{}", recipe.name, recipe.version),
        "documentNamespace": format!("urn:lunikernel:sbom:{identity}"),
        "creationInfo": { "created": CREATED, "creators": ["Tool: luni"] },
        "packages": packages,
        "relationships": relationships,
    });
    if !others.is_empty() {
        let others = others.into_iter().map(|(id, name)| {
            json!({
                "licenseId": id,
                "name": name,
                "extractedText": format!("`{name}`, as the image's list of licences has it"),
            })
        });
        document["hasExtractedLicensingInfos"] = others.collect();
    }
    document
}

/// A package of an image, of which nothing but its name is known here.
fn contained(id: &str, listed: &ListedPackage, licence: Option<&Expression>) -> Value {
    let mut package = json!({
        "SPDXID": id,
        "name": listed.name,
        "versionInfo": listed.version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "comment": format!("architecture {}", listed.arch),
    });
    if let Some(licence) = licence {
        package["licenseDeclared"] = json!(licence.text);
    }
    package
}

fn package(id: &str, input: &Input) -> Value {
    let mut package = json!({
        "SPDXID": id,
        "name": input.name,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "checksums": [{ "algorithm": "SHA256", "checksumValue": input.sha256.hex() }],
    });
    if let Some(version) = &input.version {
        package["versionInfo"] = json!(version);
    }
    if let Some(licence) = &input.licence {
        package["licenseDeclared"] = json!(licence);
    }
    let purl = input.version.as_ref().and_then(|version| {
        if input.kind == "oci" {
            return Some(image_purl(&input.name, version));
        }
        purl(&input.kind, &input.name, version)
    });
    if let Some(purl) = purl {
        package["externalRefs"] = json!([{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": purl,
        }]);
    }
    if let (Some(version), "crate") = (&input.version, input.kind.as_str()) {
        package["externalRefs"] = json!([{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": format!("pkg:cargo/{}@{}", input.name, percent(version)),
        }]);
    }
    package
}

/// The package URL of an input that is a distribution's package.
pub(crate) fn purl(kind: &str, name: &str, version: &str) -> Option<String> {
    let kind = match kind {
        "apk" => "apk/alpine",
        "deb" => "deb/debian",
        _ => return None,
    };
    Some(format!("pkg:{kind}/{name}@{}", percent(version)))
}

/// The package URL of a container image: its digest, and where it is.
fn image_purl(image: &str, digest: &str) -> String {
    let repository = image.split_once('@').map_or(image, |(name, _)| name);
    let (folder, name) = repository.rsplit_once('/').unwrap_or(("", repository));
    let name = name.split_once(':').map_or(name, |(name, _)| name);
    let at = match folder {
        "" => String::new(),
        folder => format!("?repository_url={}", percent(&format!("{folder}/{name}"))),
    };
    format!(
        "pkg:oci/{}@{}{at}",
        percent(&name.to_lowercase()),
        percent(digest)
    )
}

/// Percent-encodes what a package URL's version may not hold as it is.
fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}
