//! The JSON Schema: committed as it is generated, and right in the eyes of others.

mod support;

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::{luni, project};

/// The validator of somebody else. Answers with the names of those documents that
/// the schema refuses.
const VALIDATOR: &str = "
import json, sys
import jsonschema
given = json.load(sys.stdin)
jsonschema.Draft202012Validator.check_schema(given['schema'])
validator = jsonschema.Draft202012Validator(given['schema'])
refused = {name: [error.message for error in validator.iter_errors(document)]
           for name, document in given['documents'].items()}
print(json.dumps({name: errors for name, errors in refused.items() if errors}))
";

/// Bad recipes whose fault the schema alone must show to an editor.
const REFUSED: [&str; 21] = [
    "bad-device",
    "bad-digest",
    "bad-mode",
    "bad-name",
    "bad-network",
    "bad-packages",
    "bad-port",
    "bad-urls",
    "bad-users",
    "empty-lists",
    "file-of-no-kind",
    "file-of-two-kinds",
    "missing-keys",
    "mode-without-quotes",
    "null-value",
    "number-as-version",
    "source-of-two-kinds",
    "step-limits",
    "unknown-flavour",
    "unknown-key",
    "wrong-api-version",
];

fn schema() -> String {
    let output = luni(&project("")).arg("schema").output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

#[test]
fn the_committed_schema_is_the_generated_one() {
    let committed = fs_err::read_to_string(project("docs/recipe.schema.json")).unwrap();
    assert!(
        committed == schema(),
        "the types have changed; mend it with: cargo run -- schema > docs/recipe.schema.json"
    );
}

#[test]
fn another_validator_agrees() {
    let has_validator = Command::new("python3")
        .args(["-c", "import jsonschema; jsonschema.Draft202012Validator"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !has_validator {
        lunikernel_testing::left_out(
            &lunikernel_testing::this_test(),
            "there is no python3 with jsonschema 4 here (`apt-get install python3-jsonschema`)",
        );
        return;
    }
    let mut documents = serde_json::Map::new();
    for file in support::recipes() {
        let text = fs_err::read_to_string(&file).unwrap();
        documents.insert(file.display().to_string(), yaml(&text));
    }
    let template = include_str!("../src/cli/new/debian/recipe.yaml").replace("@NAME@", "hello");
    documents.insert("template".to_owned(), yaml(&template));
    for name in REFUSED {
        let text = fs_err::read_to_string(project(&format!("tests/errors/{name}.yaml"))).unwrap();
        documents.insert(name.to_owned(), yaml(&text));
    }
    let schema: Value = serde_json::from_str(&schema()).unwrap();
    let mut child = Command::new("python3")
        .args(["-c", VALIDATOR])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let question = json!({ "schema": schema, "documents": documents });
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(question.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let refused: serde_json::Map<String, Value> = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<&str> = refused.keys().map(String::as_str).collect();
    assert_eq!(names, REFUSED, "{refused:#?}");
}
