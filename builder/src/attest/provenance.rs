//! Provenance: what an artefact was built from, by what, as SLSA v1 writes it.

use lunikernel_cache::Sha256;
use lunikernel_cache::artefact::{Artefact, Input};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::statement::Described;
use super::{AttestError, Maker, Statement, Subject, json};
use crate::build::purl;
use crate::overlay::HISTORY;
use crate::plan::{PIPELINE, SOURCE_DATE_EPOCH};

/// The type of the predicate.
pub const PROVENANCE: &str = "https://slsa.dev/provenance/v1";

/// The kind of build: a recipe and its lock, by `luni`. It says what the parameters mean;
/// `docs/attestations.md` has it in words.
pub const BUILD_TYPE: &str = "urn:lunikernel:build:v1";

/// What is looked at in a provenance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Provenance {
    /// Who built it: a URI.
    pub builder: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    build_definition: BuildDefinition,
    run_details: RunDetails,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BuildDefinition {
    build_type: String,
}

#[derive(Deserialize)]
struct RunDetails {
    builder: Builder,
}

#[derive(Deserialize)]
struct Builder {
    id: String,
}

impl Provenance {
    /// Reads a predicate; the inner error is the type of a build that is none of ours.
    pub(super) fn read(predicate: &Value) -> Result<Result<Self, String>, String> {
        let written: Written = json::typed(predicate.clone())?;
        let build_type = written.build_definition.build_type;
        if build_type != BUILD_TYPE {
            return Ok(Err(build_type));
        }
        let builder = written.run_details.builder.id;
        if builder.is_empty() {
            return Err("the builder has no id".to_owned());
        }
        Ok(Ok(Self { builder }))
    }
}

impl Statement {
    /// That `artefact`, whose digest is `sha256`, was built from the recipe, lock and
    /// inputs that its manifest names. Whoever signs that vouches for it.
    ///
    /// # Errors
    /// [`AttestError::NotBuilt`] where it was made in another way.
    pub fn provenance(
        artefact: &Artefact,
        name: String,
        sha256: Sha256,
        maker: &Maker,
    ) -> Result<Self, AttestError> {
        let manifest = artefact.manifest();
        let (Some(recipe), Some(lock)) = (manifest.recipe, manifest.lock) else {
            return Err(AttestError::NotBuilt(name));
        };
        // What was laid over it is in neither.
        if manifest.entries.contains_key(HISTORY) {
            return Err(AttestError::NotBuilt(name));
        }
        let dependencies: Vec<Value> = manifest.inputs.iter().map(dependency).collect();
        let mut run = json!({
            "builder": { "id": maker.id, "version": { "luni": maker.version } },
        });
        if let Some(time) = &maker.time {
            run["metadata"] = json!({ "finishedOn": time });
        }
        let predicate = json!({
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "recipe": {
                        "name": manifest.name,
                        "version": manifest.version,
                        "flavour": manifest.flavour,
                        "arch": manifest.arch,
                        "digest": Described::from(recipe.sha256).digest,
                    },
                    "lock": Described::from(lock.sha256),
                },
                "internalParameters": {
                    "pipeline": PIPELINE,
                    "sourceDateEpoch": SOURCE_DATE_EPOCH,
                },
                "resolvedDependencies": dependencies,
            },
            "runDetails": run,
        });
        let subject = Subject { name, sha256 };
        Self::new(subject, PROVENANCE, predicate).map_err(AttestError::Unsayable)
    }
}

/// An input as in-toto's resource descriptor.
fn dependency(input: &Input) -> Value {
    let mut written = json!({
        "name": input.name,
        "digest": Described::from(input.sha256).digest,
        "annotations": { "kind": input.kind, "size": input.size },
    });
    match (input.kind.as_str(), &input.version) {
        ("apk" | "deb", Some(version)) => {
            written["uri"] = json!(purl(&input.kind, &input.name, version));
        }
        ("url", _) => written["uri"] = json!(input.name),
        ("git", Some(commit)) => {
            written["uri"] = json!(format!("git+{}@{commit}", input.name));
            written["digest"]["gitCommit"] = json!(commit);
        }
        _ => {}
    }
    if let Some(version) = &input.version {
        written["annotations"]["version"] = json!(version);
    }
    written
}
