//! The bounds of the search, by the rules of a flavour of the tests' own.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::*;

/// `name` in `version`, which needs, conflicts with and provides names.
#[derive(Debug, Clone, Default)]
struct Thing {
    name: String,
    text: String,
    version: u32,
    needs: Vec<String>,
    conflicts: Vec<String>,
    provides: Vec<String>,
}

fn thing(name: &str, version: u32) -> Thing {
    Thing {
        name: name.to_owned(),
        text: version.to_string(),
        version,
        ..Thing::default()
    }
}

impl Package for Thing {
    type Version = u32;

    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> &str {
        &self.text
    }

    fn parsed(&self) -> &u32 {
        &self.version
    }

    fn rank(&self, _: &Self) -> Ordering {
        Ordering::Equal
    }

    fn provisions(&self) -> impl Iterator<Item = (Box<str>, Option<u32>)> {
        self.provides
            .iter()
            .map(|name| (name.as_str().into(), None))
    }
}

impl Relation for String {
    fn name(&self) -> &str {
        self
    }
}

struct Plain;

impl Rules for Plain {
    type Package = Thing;
    type Relation = String;

    const NOWHERE: &'static str = "nobody has it";

    fn means(&self, _: &String, _: &Thing) -> bool {
        true
    }

    fn means_provided(&self, _: &String, _: &Thing, _: Option<&u32>) -> bool {
        true
    }

    fn prefer(&self, _: (&Thing, Option<&u32>), _: (&Thing, Option<&u32>)) -> Ordering {
        Ordering::Equal
    }

    fn needs(&self, thing: &Thing) -> Result<Vec<Vec<String>>, String> {
        Ok(thing.needs.iter().map(|need| vec![need.clone()]).collect())
    }

    fn conflicts(&self, thing: &Thing) -> Result<Vec<String>, String> {
        Ok(thing.conflicts.clone())
    }

    fn claims(&self, _: &Thing) -> Vec<Box<str>> {
        Vec::new()
    }

    fn shown_version(&self, version: &u32) -> String {
        version.to_string()
    }
}

fn chosen(things: Vec<Thing>, wanted: &[&str], steps: u64) -> Result<Vec<String>, SolveError> {
    let catalogue = Catalogue::new(things)?;
    let graph = Graph::new(&catalogue, &Plain, Preferences::default()).with_steps(steps);
    let roots = wanted.iter().filter_map(|name| {
        let root = graph.requirement(&[(*name).to_owned()])?;
        Some((root, (*name).to_owned()))
    });
    let roots = roots.collect();
    let solution = solve(graph, roots, &BTreeMap::new())?;
    let names = solution.keys().filter_map(|number| catalogue.get(*number));
    Ok(names.map(|thing| thing.name.clone()).collect())
}

/// Ten pigeons and nine holes: whether they fit takes any solver of this kind ages to find
/// out, and twelve and eleven take longer than anyone lives.
fn pigeons(count: usize) -> (Vec<Thing>, Vec<String>) {
    let mut things = Vec::new();
    let mut wanted = Vec::new();
    for pigeon in 0..count {
        let name = format!("pigeon-{pigeon}");
        things.push(Thing {
            needs: vec![format!("hole-of-{pigeon}")],
            ..thing(&name, 1)
        });
        wanted.push(name);
        for hole in 1..count {
            things.push(Thing {
                provides: vec![format!("hole-of-{pigeon}"), format!("hole-{hole}")],
                conflicts: vec![format!("hole-{hole}")],
                ..thing(&format!("{pigeon}-in-{hole}"), 1)
            });
        }
    }
    (things, wanted)
}

#[test]
fn a_search_without_end_is_given_up_and_an_honest_one_is_not() {
    let (things, wanted) = pigeons(3);
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    let error = chosen(things, &wanted, 1_000_000).unwrap_err();
    assert!(matches!(error, SolveError::Conflict(_)), "{error}");
    let (things, wanted) = pigeons(12);
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    assert_eq!(chosen(things, &wanted, 1_000_000), Err(SolveError::Endless));
    let chain: Vec<Thing> = (0..200)
        .map(|at| Thing {
            needs: vec![format!("t{}", at + 1)],
            ..thing(&format!("t{at}"), 1)
        })
        .chain([thing("t200", 1)])
        .collect();
    assert_eq!(
        chosen(chain.clone(), &["t0"], 1_000_000).unwrap().len(),
        201
    );
    assert_eq!(chosen(chain, &["t0"], 200), Err(SolveError::Endless));
}

#[test]
fn what_is_more_than_anyone_has_is_refused() {
    let versions = (0..10_001).map(|version| thing("a", version)).collect();
    let error = chosen(versions, &["a"], 1000).unwrap_err().to_string();
    assert!(
        error.contains("10001 versions of the package `a`"),
        "{error}"
    );
    let providers = (0..10_001).map(|at| Thing {
        provides: vec!["x".to_owned()],
        ..thing(&format!("p{at}"), 1)
    });
    let error = chosen(providers.collect(), &["x"], 1000).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("packages provide `x`"), "{error}");
}

#[test]
fn what_is_missing_is_said_with_what_there_is() {
    let things = vec![Thing {
        needs: vec!["gone".to_owned()],
        ..thing("a", 1)
    }];
    let error = chosen(things, &["a"], 100_000).unwrap_err().to_string();
    assert!(error.contains("gone (nobody has it)"), "{error}");
}

#[test]
fn similar_names_are_found_the_likeliest_first() {
    let names = ["nginx", "nginx-mod", "ngix", "apache2"].map(|name| thing(name, 1));
    let catalogue = Catalogue::new(names.to_vec()).unwrap();
    assert_eq!(catalogue.near("nignx"), ["nginx", "ngix"]);
    assert_eq!(catalogue.near("ngin"), ["ngix", "nginx", "nginx-mod"]);
    assert!(catalogue.near("postgresql").is_empty());
}

#[test]
fn what_a_solver_leaves_without_need_is_dropped() {
    let needing = |name: &str, needs: &[&str]| Thing {
        needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        ..thing(name, 1)
    };
    let things = vec![
        needing("app", &["lib"]),
        thing("lib", 1),
        needing("other", &["stray"]),
        thing("stray", 1),
    ];
    let catalogue = Catalogue::new(things).unwrap();
    let graph = Graph::new(&catalogue, &Plain, Preferences::default());
    let root = graph.requirement(&["app".to_owned()]).unwrap();
    let solution: Vec<_> = (0..4).filter_map(|number| graph.solvable(number)).collect();
    let reached = graph.reachable(vec![(root, "app".to_owned())], &solution);
    let reasons: Vec<_> = reached.into_iter().map(|(at, why)| (at, why.by)).collect();
    assert_eq!(reasons, [(0, None), (1, Some(0))]);
}
