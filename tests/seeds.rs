//! `tests/seed-variables.tsv` lists the variables that Timbr documents. Each is written for some example,
//! in the documented spelling, and nothing else is ever written.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use timbr_identity::{
    compose::{EnvSource, Settings, Value},
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

/// The names of the folders with examples, sorted.
fn examples() -> Vec<String> {
    let entries = fs::read_dir(root("examples")).expect("examples");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("a folder").file_name().into_string().expect("a name")).collect();
    names.sort();
    names
}

/// Everything that the examples write: variable, component's usual Deployment, and the plain values.
fn written() -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut written: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for example in examples() {
        let documents = read(&[root("examples").join(example)]).expect("manifests");
        let judged = judge(&documents, "timbr", &Settings::default());
        for installation in &judged.installations {
            for deployment in &installation.plan.deployments {
                for container in &deployment.containers {
                    for env in container.variables() {
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

/// What an example warns of is no fault of it, and nothing else is found.
#[test]
fn examples_are_valid_and_warn_of_what_is_expected() {
    let expected: [(&str, &[&str]); 11] = [
        ("access-policy", &["ClusterNameUnknown"]),
        ("databricks", &[]),
        ("everything", &["ClusterNameUnknown", "KeyVaultTurnedOn", "SingleIssuer"]),
        ("external-provider", &[]),
        ("group-sync", &[]),
        ("installation", &[]),
        ("jwt", &[]),
        ("jwt-multi-tenant", &["SingleIssuer", "TenantHyphen"]),
        ("key-vault", &["KeyVaultTurnedOn"]),
        ("reference", &[]),
        ("single-sign-on", &[]),
    ];
    assert_eq!(examples(), expected.map(|(name, _)| name));
    for (name, codes) in expected {
        let documents = read(&[root("examples").join(name)]).expect("manifests");
        let judged = judge(&documents, "timbr", &Settings::default());
        let errors: Vec<String> =
            judged.findings.iter().filter(|finding| finding.is_error()).map(ToString::to_string).collect();
        assert_eq!(errors, [] as [String; 0]);
        let found: BTreeSet<&str> = judged.findings.iter().map(|finding| finding.code.as_str()).collect();
        assert_eq!(found, codes.iter().copied().collect(), "{name}");
    }
}

#[test]
fn every_file_of_an_example_begins_with_what_it_is_for() {
    for name in examples() {
        for file in fs::read_dir(root("examples").join(name)).expect("a folder") {
            let file = file.expect("a file").path();
            let text = fs::read_to_string(&file).expect("a manifest");
            assert!(text.starts_with("# "), "{}", file.display());
        }
    }
}

/// Keys have line breaks, and keep them.
#[test]
fn keys_arrive_with_their_line_breaks() {
    let documents = read(&[root("examples/jwt-multi-tenant")]).expect("manifests");
    let judged = judge(&documents, "timbr", &Settings::default());
    let plans = judged.installations.iter().flat_map(|installation| &installation.plan.deployments);
    let mut keys = 0;
    for (name, value) in plans.flat_map(|plan| &plan.secrets).flat_map(|secret| &secret.data) {
        let Value::Sensitive(value) = value else { panic!("{name}") };
        let text = std::str::from_utf8(value.expose()).expect("a key in PEM form");
        assert!(text.starts_with("-----BEGIN PUBLIC KEY-----\n"), "{name}");
        assert!(text.contains("\n-----END PUBLIC KEY-----"), "{name}");
        keys += 1;
    }
    assert_eq!(keys, 2);
}
