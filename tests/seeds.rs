//! `tests/seed-variables.tsv` lists the variables that Timbr documents. Each is written for some example,
//! in the documented spelling, and nothing else is ever written.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use timbr_identity::{
    compose::{EnvSource, Settings},
    offline::{judge, read},
};

/// What stands for the tenant in the table, and the tenants of the examples.
const TENANT: &str = "<TENANT_ID>";
const TENANTS: [&str; 3] = ["CONTOSO", "FABRIKAM", "TENANT-5"];

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A row: the variable and the container that the documentation names, with the example there and the unit.
fn rows() -> BTreeMap<(String, String), (String, String)> {
    let text = fs::read_to_string(root("tests/seed-variables.tsv")).expect("the table");
    let lines = text.lines().skip(1);
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [variable, container, example, unit, _, source] = fields[..] else { panic!("{line}") };
            assert!(!source.is_empty(), "{line}");
            ((variable.to_owned(), container.to_owned()), (example.to_owned(), unit.to_owned()))
        })
        .collect()
}

fn row_of(variable: &str) -> String {
    let of_tenant = TENANTS.iter().find_map(|tenant| variable.strip_prefix(&format!("JWT_{tenant}_")));
    of_tenant.map_or_else(|| variable.to_owned(), |end| format!("JWT_{TENANT}_{end}"))
}

/// Everything that the examples write: variable, component's usual Deployment, and the plain values.
fn written() -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut written: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for example in fs::read_dir(root("examples")).expect("examples") {
        let documents = read(&[example.expect("a folder").path()]).expect("manifests");
        let judged = judge(&documents, "timbr", &Settings::default());
        for installation in &judged.installations {
            for deployment in &installation.plan.deployments {
                for container in &deployment.containers {
                    for env in &container.env {
                        // Under names of its own it is the same Timbr.
                        let usual = match deployment.name.as_str() {
                            "analytics-web" => "timbr-platform",
                            "analytics-engine" => "timbr-server",
                            usual => usual,
                        };
                        let values = written.entry((row_of(&env.name), usual.to_owned())).or_default();
                        if let EnvSource::Plain(value) = &env.source {
                            values.insert(value.clone());
                        }
                    }
                }
            }
        }
    }
    written
}

#[test]
fn every_documented_variable_is_written_and_no_other() {
    let rows: BTreeSet<_> = rows().into_keys().collect();
    let written: BTreeSet<_> = written().into_keys().collect();
    assert_eq!(written, rows);
    println!("{} variables", rows.len());
}

#[test]
fn values_are_spelled_as_documented() {
    let written = written();
    for (place, (example, unit)) in rows() {
        let values = &written[&place];
        if example.contains('<') {
            continue;
        }
        let kind = |value: &str| match value {
            "true" | "false" => "lower-case boolean".to_owned(),
            "True" | "False" => "capital boolean".to_owned(),
            number if number.parse::<u64>().is_ok() => format!("number of {unit}"),
            _ => "text".to_owned(),
        };
        assert!(!values.is_empty(), "{place:?}");
        for value in values {
            assert_eq!(kind(value), kind(&example), "{place:?}: {value}");
        }
        // What is a constant there is the same here.
        if ["azure", "password"].contains(&example.as_str()) || example.contains("user_impersonation") {
            assert!(values.contains(&example), "{place:?}: {values:?}");
        }
    }
}
