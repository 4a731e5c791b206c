//! What is wrong with variables that were set by hand. No message holds a value.

use std::collections::BTreeSet;

use crate::{
    api::{Code, Component, Problem, Reason, rules},
    compose::{Settings, is_administrator, is_in_cloud, is_looked_at_late},
    offline::{Document, Finding},
};

use super::{
    Documented, Fault, Form, Origin, Service, Source, Value, Variable, documented, group::Group, in_other_case, needs,
    read, reading::is_public, tenant_in, tokens, words,
};

/// A rule: what it finds on a service of a group.
type Rule = fn(&Service, &Group<'_>) -> Vec<Problem>;

const RULES: &[Rule] = &[
    values,
    misplaced,
    other_case,
    duplicates,
    secrets_in_plain_text,
    needs::problems,
    |service, _| tokens::problems(service),
    registration,
    times,
    vault,
    scheme,
    principal,
    role_mapping,
    workload_identity,
];

/// What every rule finds.
pub fn findings(services: &[Service], documents: &[Document], settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    for group in Group::all(services, settings) {
        for service in group.services() {
            for problem in RULES.iter().flat_map(|rule| rule(service, &group)) {
                findings.push(Finding::new(service.at, &documents[service.at], service.title.clone(), &problem));
            }
        }
    }
    findings
}

/// Every value by itself.
fn values(service: &Service, _: &Group<'_>) -> Vec<Problem> {
    service.documented().flat_map(|(variable, known)| value(service, variable, known)).collect()
}

fn value(service: &Service, variable: &Variable, known: &Documented) -> Vec<Problem> {
    let (name, path) = (&variable.name, service.value_path(variable));
    match &variable.value {
        Value::Plain(text) => {
            read(known.form, text.as_str()).faults.into_iter().map(|fault| of_fault(name, &path, fault)).collect()
        }
        Value::NotText(text) => {
            // YAML has changed the spelling already, and quoting is told.
            let faults = read(known.form, text.as_str()).faults.into_iter();
            let others = faults.filter(|fault| fault.code != Code::SpellingWrong);
            not_text(service, variable).into_iter().chain(others.map(|fault| of_fault(name, &path, fault))).collect()
        }
        Value::Other(Source::OtherVariable) => {
            let message = format!("{name}: its value {}", Source::OtherVariable.sentence());
            vec![Problem::warning(path, Code::ExpandsVariable, message)]
        }
        Value::Other(Source::NoScalar) => not_text(service, variable).into_iter().collect(),
        Value::Other(_) | Value::SecretRef { .. } => vec![],
    }
}

fn of_fault(name: &str, path: &str, Fault { code, severity, message }: Fault) -> Problem {
    Problem { severity, ..Problem::error(path, code, format!("{name} {message}")) }
}

/// What YAML takes for something else than a text. (Of a Deployment it is told with the rest of what the
/// API server refuses.)
fn not_text(service: &Service, variable: &Variable) -> Option<Problem> {
    service.is_compose().then(|| {
        let meant = variable.meant().filter(|_| variable.documented().is_some_and(|known| !known.form.is_sensitive()));
        let name = &variable.name;
        let message = match (meant, &variable.value) {
            (_, Value::Other(_)) => format!(
                "{name} must be a string, and Docker Compose refuses anything else; write - {name}=value in a list, or {name}: \"value\" in a map"
            ),
            (meant, _) => {
                let fix = meant.map_or("put it in quotes".to_owned(), |meant| format!("write \"{}\"", meant.as_str()));
                format!(
                    "{name} is a boolean to YAML, which docker-compose 1 refuses and Docker Compose 2 hands on as true or false, so that False loses its capital; {fix}"
                )
            }
        };
        Problem::error(&variable.path, Code::FieldType, message)
    })
}

/// Variables of another component.
fn misplaced(service: &Service, _: &Group<'_>) -> Vec<Problem> {
    let elsewhere = service.variables.iter().filter_map(|variable| Some((variable, variable.documented()?)));
    elsewhere
        .filter(|(_, known)| !known.components.contains(&service.component) && !known.is_everybodys())
        .map(|(variable, known)| {
            let right: Vec<&str> = known.components.iter().map(|component| component.usual_deployment()).collect();
            let message = format!(
                "{} is a variable of {}; {} does not read it, so set it there, or remove it here",
                variable.name,
                words::all_of(&right),
                service.component.usual_deployment()
            );
            Problem::warning(&variable.path, Code::VariableMisplaced, message)
        })
        .collect()
}

fn other_case(service: &Service, _: &Group<'_>) -> Vec<Problem> {
    let named = service.variables.iter().filter_map(|variable| Some((variable, in_other_case(&variable.name)?)));
    named
        .map(|(variable, upper)| {
            let message = format!("{} is not in upper case, so Timbr does not read it; write {upper}", variable.name);
            Problem::error(&variable.path, Code::VariableCase, message)
        })
        .collect()
}

/// Every entry but the first with its name.
fn duplicates(service: &Service, _: &Group<'_>) -> Vec<Problem> {
    let mut seen = BTreeSet::new();
    let documented = service.variables.iter().filter(|variable| variable.documented().is_some());
    documented
        .filter(|variable| !seen.insert(&variable.name))
        .map(|variable| {
            let message =
                format!("{} is listed more than once, and only the last entry counts; keep one", variable.name);
            let problem = Problem::warning(&variable.path, Code::ValueInvalid, message);
            // The same fault has this name among the reasons of conditions.
            Problem { code: Reason::DuplicateVariable.to_string(), ..problem }
        })
        .collect()
}

/// Also where nobody reads them, and where a resource delivers them too: a secret is a secret.
fn secrets_in_plain_text(service: &Service, _: &Group<'_>) -> Vec<Problem> {
    let all = service.variables.iter().chain(&service.set_twice);
    all.filter_map(|variable| Some((variable, variable.documented()?)))
        .filter(|(variable, known)| {
            variable.text().is_some_and(|text| match known.form {
                Form::Secret => !text.as_str().is_empty(),
                Form::Key => !text.as_str().is_empty() && !is_public(text.as_str()),
                _ => false,
            })
        })
        .map(|(variable, _)| {
            let name = &variable.name;
            let fix = match service.is_compose() {
                true => format!("write ${{{name}}} here and the value into an .env file that is not committed"),
                false => "put it into a Secret and name that under valueFrom.secretKeyRef".to_owned(),
            };
            let message = format!("{name} stands in plain text for everybody who reads this file; {fix}");
            Problem::warning(service.value_path(variable), Code::SecretInPlainText, message)
        })
        .collect()
}

/// Who registers by signing in should not be an administrator.
fn registration(service: &Service, _: &Group<'_>) -> Vec<Problem> {
    const NAME: &str = "AUTH_USER_REGISTRATION_ROLE";
    let role = service.variable(NAME).filter(|_| service.is_on("AUTH_USER_REGISTRATION"));
    let role = role.filter(|role| role.meant().is_some_and(|meant| is_administrator(meant.as_str())));
    role.map(|role| {
        let message = format!(
            "{NAME} makes everybody in the directory who signs in an administrator; give another role, such as viewer"
        );
        Problem::warning(service.value_path(role), Code::AdminRoleNotAllowed, message)
    })
    .into_iter()
    .collect()
}

/// How long tokens of Databricks count as fresh, and how often they are looked at.
fn times(service: &Service, _: &Group<'_>) -> Vec<Problem> {
    const EXPIRATION: &str = "OAUTH_REFRESH_TOKEN_EXPIRATION";
    const VALIDATION: &str = "OAUTH_REFRESH_TOKEN_VALIDATION";
    let minutes = |name: &str| {
        let default = documented(name).and_then(|known| known.default).filter(|_| service.lacks(name));
        service.meant(name).map_or_else(|| default?.parse().ok(), |meant| meant.as_str().parse::<u64>().ok())
    };
    let (Some(expiration), Some(validation)) = (minutes(EXPIRATION), minutes(VALIDATION)) else { return vec![] };
    let late = service.variable(VALIDATION).filter(|_| is_looked_at_late(expiration, validation));
    late.map(|late| {
        let message = format!(
            "{VALIDATION} counts more minutes than {EXPIRATION}: tokens are looked at when they have long ceased to count as fresh, so queries may fail in between; make it that many minutes or less"
        );
        Problem::warning(service.value_path(late), Code::ValidationAboveExpiration, message)
    })
    .into_iter()
    .collect()
}

/// A vault receives a credential.
fn vault(service: &Service, group: &Group<'_>) -> Vec<Problem> {
    const NAME: &str = "KV_VAULT";
    let suffix = &group.settings.vault_suffix;
    let vault = service.variable(NAME).filter(|_| service.component == Component::Server);
    let elsewhere = vault.filter(|vault| vault.meant().is_some_and(|url| !is_in_cloud(url.as_str(), suffix)));
    elsewhere
        .map(|vault| {
            let message = format!(
                "{NAME} must end in {suffix}, as key vaults of this cloud do: the vault receives a credential; correct the address, or repeat with the --cloud or the --vault-suffix that it is in"
            );
            Problem::error(service.value_path(vault), Code::VaultNotInCloud, message)
        })
        .into_iter()
        .collect()
}

/// The classic failure of single sign-on behind an ingress.
fn scheme(service: &Service, _: &Group<'_>) -> Vec<Problem> {
    const NAME: &str = "OAUTH_DEFAULT_SCHEME";
    let is_azure = service.meant("OAUTH_PROVIDER").is_some_and(|provider| provider.as_str() == "azure");
    if service.component != Component::Platform || !is_azure {
        return vec![];
    }
    let is_http = service.meant(NAME).is_some_and(|scheme| scheme.as_str() == "http");
    let (path, state) = match service.variable(NAME) {
        Some(variable) if is_http => (service.value_path(variable), "is http"),
        _ if service.lacks(NAME) => (service.path.clone(), "is not set, which is http to Timbr"),
        _ => return vec![],
    };
    let entry = match service.is_compose() {
        true => format!("- {NAME}=https"),
        false => format!("- {{name: {NAME}, value: https}}"),
    };
    let message = format!(
        "{NAME} {state}: where TLS ends before Timbr, as at an ingress, Timbr then names an http:// redirect URI, and Entra refuses the sign-in with AADSTS50011; write the entry {entry}"
    );
    vec![Problem::warning(path, Code::SchemeNotHttps, message)]
}

/// Whether group sync is set up by hand: of a resource's, compose speaks.
fn syncs_groups(service: &Service) -> bool {
    ["SYNC_GROUPS_INTERVAL", "SYNC_GROUPS_AUTO_CREATE_USER"].iter().any(|name| service.variable(name).is_some())
}

/// Group sync uses the app registration of single sign-on.
fn principal(service: &Service, group: &Group<'_>) -> Vec<Problem> {
    let Some(platform) = group.only(Component::Platform) else { return vec![] };
    if service.component != Component::Server || !syncs_groups(service) {
        return vec![];
    }
    let base_url = platform.meant("OAUTH_BASE_URL");
    let tenant = base_url.as_ref().and_then(|url| tenant_in(url.as_str())).map(|(_, tenant)| tenant.to_owned());
    let client = platform.meant("OAUTH_CLIENT_ID").map(|client| client.as_str().to_owned());
    let pairs = [
        ("AZURE_TENANT_ID", tenant, "another tenant than OAUTH_BASE_URL"),
        ("AZURE_CLIENT_ID", client, "another application than OAUTH_CLIENT_ID"),
    ];
    pairs
        .into_iter()
        .filter_map(|(name, of_sign_on, what)| {
            let variable = service.variable(name)?;
            let meant = variable.meant()?;
            let differs = are_different(meant.as_str(), &of_sign_on?);
            let message = format!(
                "{name} names {what} of {}, while group sync uses the app registration of single sign-on; set both to the same",
                platform.title
            );
            differs.then(|| Problem::warning(service.value_path(variable), Code::TrioMismatch, message))
        })
        .collect()
}

/// A tenant has a GUID and domains: of two different kinds nobody knows whether they are the same.
fn are_different(a: &str, b: &str) -> bool {
    let is_guid = |text: &str| rules::CLIENT_ID.holds(text);
    is_guid(a) == is_guid(b) && !a.eq_ignore_ascii_case(b)
}

fn role_mapping(service: &Service, group: &Group<'_>) -> Vec<Problem> {
    const PREFIX: &str = "OAUTH_ROLE_MAPPING_";
    let is_synced = group.only(Component::Server).is_some_and(syncs_groups);
    if service.component != Component::Platform || !is_synced {
        return vec![];
    }
    let is_off = |variable: &Variable| {
        let text = variable.text().map(|text| text.as_str().trim().to_ascii_lowercase());
        text.is_some_and(|text| text.is_empty() || text == "false")
    };
    let mappings = service.variables.iter().filter(|variable| variable.name.starts_with(PREFIX) && !is_off(variable));
    mappings
        .map(|variable| {
            let message = format!(
                "{} gives out roles at sign-in, and group sync gives them out too, so the two undo each other's work; remove one of them",
                variable.name
            );
            Problem::warning(&variable.path, Code::RoleMappingCompetes, message)
        })
        .collect()
}

fn workload_identity(service: &Service, _: &Group<'_>) -> Vec<Problem> {
    let Origin::Kubernetes { workload_identity: true, .. } = service.origin else { return vec![] };
    ["AZURE_CLIENT_ID", "AZURE_TENANT_ID"]
        .iter()
        .filter_map(|name| service.variable(name))
        .map(|variable| {
            let message = format!(
                "{} is set on pods with the label azure.workload.identity/use, on which Azure's webhook sets it for another identity; remove the label from the pod template, or the variable",
                variable.name
            );
            Problem::warning(&variable.path, Code::WorkloadIdentity, message)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_that_can_be_compared() {
        let guid = "11111111-2222-3333-4444-555555555555";
        assert!(!are_different(guid, "contoso.com") && !are_different("Contoso.com", "contoso.COM"));
        assert!(are_different(guid, "21111111-2222-3333-4444-555555555555") && are_different("a.com", "b.com"));
    }
}
