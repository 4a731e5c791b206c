//! What users read is what the code says: every code and every reason has its entry in the
//! documentation, and the CRDs that are shipped are those of the code.

use std::path::{Path, PathBuf};

use timbr_identity::{
    admission,
    api::{Code, GROUP, Kind, Reason, crds, final_schema},
    chart,
    rights::{Install, Place, Rule, manifest, rules},
    yaml,
};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The headings `### Name` of a document, sorted.
fn entries(document: &str) -> Vec<String> {
    let mut entries: Vec<String> = read(document)
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .map(|name| name.trim().to_owned())
        .collect();
    entries.sort();
    entries
}

fn sorted(names: impl Iterator<Item = &'static str>) -> Vec<String> {
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn every_code_has_its_entry_and_no_entry_is_left_over() {
    assert_eq!(entries("docs/problems.md"), sorted(Code::ALL.iter().map(|code| code.as_str())));
}

#[test]
fn every_reason_has_its_entry_and_no_entry_is_left_over() {
    assert_eq!(entries("docs/conditions.md"), sorted(Reason::ALL.iter().map(|reason| reason.as_str())));
}

#[test]
fn every_kind_has_its_page_and_the_readme_leads_there() {
    let readme = read("README.md");
    for kind in Kind::ALL {
        let page = format!("docs/{}.md", kind.name().to_lowercase());
        assert!(readme.contains(&format!("({page})")), "README.md does not lead to {page}");
        let text = read(&page);
        assert!(text.starts_with(&format!("# {kind}\n")), "{page}");
        // Every field of the spec is explained there.
        let spec = &final_schema(*kind)["properties"]["spec"]["properties"];
        for field in spec.as_object().expect("fields").keys() {
            assert!(text.contains(field.as_str()), "{page} says nothing of {field}");
        }
    }
}

#[test]
fn the_crds_in_the_repository_are_those_of_the_code() {
    const FILE: &str = "identity.timbr.ai.yaml";
    let files = std::fs::read_dir(path("crds")).expect("crds/ can be read");
    let files: Vec<_> = files.map(|file| file.expect("crds/ can be read").file_name()).collect();
    assert_eq!(files, [FILE]);
    let written = yaml::write_stream(&crds()).expect("CRDs can be written");
    assert!(read(&format!("crds/{FILE}")) == written, "crds/{FILE} is out of date: run make crds");
}

#[test]
fn the_manifests_of_the_rights_in_the_repository_are_those_of_the_code() {
    for (file, install) in
        [("deploy/rbac.yaml", Install::ClusterWide), ("deploy/namespaced/rbac.yaml", Install::Namespaced(&["timbr"]))]
    {
        assert!(read(file) == manifest(install), "{file} is out of date: run make rbac");
    }
}

#[test]
fn the_configurations_of_the_webhook_in_the_repository_are_those_of_the_code() {
    for (file, watched) in [("deploy/webhook.yaml", &[][..]), ("deploy/namespaced/webhook.yaml", &["timbr"])] {
        assert!(read(file) == admission::manifest(watched), "{file} is out of date: run make rbac");
    }
    let operator = yaml::read(&read("deploy/timbr-identity-operator.yaml")).expect("YAML");
    let service = operator.iter().find(|document| document.value["kind"] == "Service").expect("a Service");
    assert_eq!(service.value["metadata"]["name"], admission::SERVICE);
}

/// A right as the documentation has it; `only`: the one manifest that grants it.
fn row(rule: &Rule, only: Option<&str>) -> String {
    let place = match rule.place {
        Place::Watched => "watched namespaces",
        Place::Own => "own namespace",
        Place::Cluster => "the cluster",
    };
    let place = only.map_or(place.to_owned(), |file| format!("{place}, only in `{file}`"));
    let what = match (rule.group, rule.resources.as_slice()) {
        (GROUP, [first, ..]) if first.ends_with("/status") => "their `/status`".to_owned(),
        (GROUP, _) => format!("every kind of `{GROUP}`"),
        ("" | "apps", resources) => resources.join(", "),
        (group, resources) => format!("{} ({group})", resources.join(", ")),
    };
    let named: String = rule.names.iter().map(|name| format!(" called `{name}`")).collect();
    format!("| {place} | {what}{named} | {} | {} |", rule.verbs.join(", "), rule.why)
}

#[test]
fn every_right_is_in_the_documentation_and_none_else() {
    let (all, some) = (rules(Install::ClusterWide), rules(Install::Namespaced(&[])));
    let rows = |of: &[Rule]| of.iter().map(|rule| row(rule, None)).collect::<Vec<_>>();
    let (in_all, in_some) = (rows(&all), rows(&some));
    let only = |of: Vec<Rule>, others: &[String], file: &str| -> Vec<String> {
        let those = of.into_iter().filter(|rule| !others.contains(&row(rule, None)));
        those.map(|rule| row(&rule, Some(file))).collect()
    };
    let both = in_all.iter().filter(|row| in_some.contains(row)).cloned();
    let expected: Vec<String> =
        both.chain(only(some, &in_all, "namespaced/rbac.yaml")).chain(only(all, &in_some, "rbac.yaml")).collect();
    let document = read("docs/operator.md");
    let section = document.split("\n## ").find(|section| section.starts_with("Rights\n")).expect("the section");
    let table: Vec<&str> = section.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(table == expected, "docs/operator.md ought to have:\n{}", expected.join("\n"));
}

/// The values of the chart as the documentation has them: each with its comment in values.yaml, and its default.
fn rows_of_values() -> Vec<String> {
    let text = read("charts/timbr-identity-operator/values.yaml");
    let defaults = yaml::read(&text).expect("YAML").remove(0).value;
    let schema: serde_json::Value =
        serde_json::from_str(&read("charts/timbr-identity-operator/values.schema.json")).expect("JSON");
    let (mut rows, mut comment, mut path): (Vec<String>, Vec<&str>, Vec<&str>) = Default::default();
    for line in text.lines() {
        let content = line.trim_start();
        let depth = (line.len() - content.len()) / 2;
        if let Some(text) = content.strip_prefix('#') {
            comment.push(text.trim());
            continue;
        }
        let said = std::mem::take(&mut comment).join(" ");
        let Some((name, _)) = content.split_once(':') else { continue };
        path.truncate(depth);
        path.push(name);
        let pointer = |between: &str| path.iter().map(|name| format!("{between}/{name}")).collect::<String>();
        let Some(known) = schema.pointer(&pointer("/properties")) else { continue };
        // A group, or a value within one that is taken as a whole.
        if known.get("properties").is_none() {
            assert!(!said.is_empty(), "values.yaml says nothing of {}", path.join("."));
            let default = defaults.pointer(&pointer("")).expect("a default");
            rows.push(format!("| `{}` | `{default}` | {said} |", path.join(".")));
        }
    }
    rows
}

#[test]
fn every_value_of_the_chart_is_in_the_documentation_as_in_the_values() {
    let document = read("docs/install.md");
    let section = document.split("\n## ").find(|section| section.starts_with("Values\n")).expect("the section");
    let table: Vec<&str> = section.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    let expected = rows_of_values();
    assert!(table == expected, "docs/install.md ought to have:\n{}", expected.join("\n"));
}

/// Every file in a folder and below, with what it holds.
fn files(folder: &Path) -> std::collections::BTreeMap<PathBuf, String> {
    let mut found = std::collections::BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap_or_else(|error| panic!("{}: {error}", next.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below the folder").to_owned();
                found.insert(name, std::fs::read_to_string(&path).expect("text"));
            }
        }
    }
    found
}

#[test]
fn the_chart_says_what_the_code_says_and_is_kept_at_its_version() {
    let chart = path("charts/timbr-identity-operator");
    for name in chart::TEMPLATES {
        let written = read(&format!("charts/timbr-identity-operator/templates/{name}"));
        assert!(Some(written) == chart::template(name), "{name} is out of date: run make chart");
    }
    let about = yaml::read(&read("charts/timbr-identity-operator/Chart.yaml")).expect("YAML").remove(0).value;
    assert_eq!(about["appVersion"], env!("CARGO_PKG_VERSION"), "the chart is of another version");
    let version = about["version"].as_str().expect("a version");
    let kept = path(&format!("tests/fixtures/charts/{version}"));
    assert!(files(&kept) == files(&chart), "{} is out of date: run make chart", kept.display());
}
