//! The packages of an image that was built elsewhere, as its lists name them.

use std::collections::{BTreeMap, BTreeSet};

use lunikernel_cache::tree::Entry;

use super::materials::{Material, Materials};
use super::{BuildError, Builder};
use crate::assemble::yocto::{self, Expression, ListFlaw, ListedPackage, MAX_LIST};
use crate::recipe::Recipe;

/// The packages, and the licences of some of them by name, as SPDX expressions.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) packages: BTreeSet<ListedPackage>,
    pub(super) licences: BTreeMap<String, Expression>,
}

impl Builder {
    /// What `rootfs.manifest` and `rootfs.licences` say.
    pub(super) fn listed(
        &self,
        recipe: &Recipe,
        materials: &Materials<'_>,
    ) -> Result<Listed, BuildError> {
        let mut listed = Listed::default();
        if let Some(reference) = &recipe.rootfs.manifest {
            listed.packages = self.list(reference, materials, yocto::manifest)?;
        }
        if let Some(reference) = &recipe.rootfs.licences {
            let licences = self.list(reference, materials, yocto::licences)?;
            let licences = licences.into_iter();
            let licences = licences.map(|(name, licence)| (name, yocto::expression(&licence)));
            listed.licences = licences.collect();
        }
        Ok(listed)
    }

    fn list<T>(
        &self,
        reference: &str,
        materials: &Materials<'_>,
        read: impl Fn(&[u8]) -> Result<T, ListFlaw>,
    ) -> Result<T, BuildError> {
        let flaw = |source| BuildError::List {
            reference: reference.to_owned(),
            source,
        };
        let Material::Entry(Entry::File { digest, .. }) = materials.get(reference)? else {
            return Err(BuildError::NotAFile {
                reference: reference.to_owned(),
                wanted: "a list of packages is one",
            });
        };
        if digest.size > MAX_LIST {
            return Err(flaw(ListFlaw::TooLarge { size: digest.size }));
        }
        read(&self.cache.blobs().read(&digest)?).map_err(flaw)
    }
}
