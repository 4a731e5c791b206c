//! What is wrong with variables that were set by hand. No message holds a value.

use std::collections::BTreeSet;

use crate::{
    api::{CUSTOM_CLAIMS, Code, Component, JwtAlgorithm, Problem, Reason, rules},
    compose::misfit,
    offline::{Document, Finding},
};

use super::{
    Documented, Fault, Form, Origin, Service, Source, Value, Variable,
    group::Group,
    in_other_case, needs, read,
    reading::{has_shared_key, is_public, read_list},
    tenant_in, tenant_of, words,
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
    token_type,
    key_fit,
    audience,
    issuer,
    scheme,
    principal,
    role_mapping,
    workload_identity,
];

/// What every rule finds.
pub fn findings(services: &[Service], documents: &[Document]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for group in Group::all(services) {
        for service in group.services() {
            for problem in RULES.iter().flat_map(|rule| rule(service, &group)) {
                findings.push(Finding::new(service.at, &documents[service.at], service.title.clone(), &problem));
            }
        }
    }
    findings
}

/// The documented variables that the service itself reads.
fn of_service(service: &Service) -> impl Iterator<Item = (&Variable, &'static Documented)> {
    service
        .variables
        .iter()
        .filter_map(|variable| Some((variable, variable.documented()?)))
        .filter(|(_, known)| known.components.contains(&service.component))
}

/// Every value by itself.
fn values(service: &Service, _: &Group<'_>) -> Vec<Problem> {
    of_service(service).flat_map(|(variable, known)| value(service, variable, known)).collect()
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
        let fix = match (meant, &variable.value) {
            (Some(meant), _) => format!("write \"{}\"", meant.as_str()),
            (None, Value::Other(_)) => {
                format!("write - {0}=value in a list, or {0}: \"value\" in a map", variable.name)
            }
            (None, _) => "put it in quotes".to_owned(),
        };
        let message = format!("{} must be a string, for docker-compose refuses anything else; {fix}", variable.name);
        Problem::error(&variable.path, Code::FieldType, message)
    })
}

/// Variables of another component. (`AZURE_*` are everybody's; Timbr's Helm chart sets them on the
/// platform, for other purposes.)
fn misplaced(service: &Service, _: &Group<'_>) -> Vec<Problem> {
    let elsewhere = service.variables.iter().filter_map(|variable| Some((variable, variable.documented()?)));
    elsewhere
        .filter(|(variable, known)| {
            !known.components.contains(&service.component) && !variable.name.starts_with("AZURE_")
        })
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

fn secrets_in_plain_text(service: &Service, _: &Group<'_>) -> Vec<Problem> {
    of_service(service)
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

/// What each type of tokens takes.
fn token_type(service: &Service, _: &Group<'_>) -> Vec<Problem> {
    let type_ = service.meant("JWT_TYPE");
    let problem = |variable: &Variable, code, message: &str| {
        Problem::error(service.value_path(variable), code, format!("{} {message}", variable.name))
    };
    let of_type = |(variable, known): (&Variable, &Documented)| {
        let meant = variable.meant()?;
        match (type_.as_ref()?.as_str(), known.form) {
            ("azure", Form::Algorithms) if has_shared_key(meant.as_str()) => Some(problem(
                variable,
                Code::AlgorithmInvalid,
                "holds HS256 or AES, which need a secret key, while JWT_TYPE azure checks tokens with Microsoft's public keys; write RS256",
            )),
            ("custom", Form::Claim) if !CUSTOM_CLAIMS.contains(&meant.as_str()) => Some(problem(
                variable,
                Code::ValueInvalid,
                "must be email or username: with JWT_TYPE custom Timbr's documentation knows no other claim",
            )),
            _ => None,
        }
    };
    of_service(service).filter_map(of_type).collect()
}

/// The algorithms that a key is used with, those of a tenant or else the API's.
fn algorithms(service: &Service, tenant: Option<&str>) -> Vec<JwtAlgorithm> {
    let of = |name: &str| service.meant(name).map(|meant| read_list(meant.as_str()));
    let own = tenant.and_then(|tenant| of(&format!("JWT_{tenant}_ALGORITHM")));
    own.or_else(|| of("JWT_DEFAULT_ALGORITHM")).unwrap_or_default()
}

/// Whether each key fits the algorithms that it is used with; a tenant without a key has the API's.
fn key_fit(service: &Service, _: &Group<'_>) -> Vec<Problem> {
    const KEY: &str = "JWT_DEFAULT_KEY";
    if service.meant("JWT_TYPE").is_none_or(|type_| type_.as_str() != "custom") {
        return vec![];
    }
    let misfit = |key: &Variable, tenant: Option<&str>| {
        let text = key.text().filter(|text| !text.as_str().is_empty())?;
        misfit(text.as_str().as_bytes(), &algorithms(service, tenant))
    };
    let problem = |variable: &Variable, message: String| {
        Problem::error(service.value_path(variable), Code::ValueInvalid, message)
    };
    let of_key = |(variable, known): (&Variable, &Documented)| {
        if known.form != Form::Key {
            return None;
        }
        let why = misfit(variable, tenant_of(&variable.name))?;
        Some(problem(variable, format!("{}: the value {why}", variable.name)))
    };
    let of_algorithms = |(variable, _): (&Variable, &Documented)| {
        let tenant = tenant_of(&variable.name).filter(|_| variable.name.ends_with("_ALGORITHM"))?;
        let has_key = service.has(&format!("JWT_{tenant}_KEY"));
        let why = misfit(service.variable(KEY).filter(|_| !has_key)?, Some(tenant))?;
        let name = &variable.name;
        Some(problem(
            variable,
            format!("{name} does not fit {KEY}, which the tenant has without a key of its own: that {why}"),
        ))
    };
    of_service(service).filter_map(of_key).chain(of_service(service).filter_map(of_algorithms)).collect()
}

fn is_on(service: &Service, name: &str) -> bool {
    service.meant(name).is_some_and(|meant| meant.as_str() == "true")
}

/// Whether a service lacks a variable, or has nothing in it.
fn lacks(service: &Service, name: &str) -> bool {
    let is_empty = |variable: &Variable| variable.text().is_some_and(|text| text.as_str().is_empty());
    !service.is_open && !service.ours.contains(name) && service.variable(name).is_none_or(is_empty)
}

fn audience(service: &Service, _: &Group<'_>) -> Vec<Problem> {
    const MESSAGE: &str = "JWT_DEFAULT_AUDIENCE is not set, so Timbr accepts tokens that were issued for any other application; set it to the audience of the tokens that are meant for Timbr, commonly the client id";
    unless_set(service, "JWT_DEFAULT_AUDIENCE", Code::AudienceNotValidated, MESSAGE)
}

fn issuer(service: &Service, _: &Group<'_>) -> Vec<Problem> {
    const MESSAGE: &str = "JWT_ISSUER is not set, so Timbr does not check who issued a token; set it to the tokens' iss, in the same letters";
    unless_set(service, "JWT_ISSUER", Code::IssuerNotValidated, MESSAGE)
}

fn unless_set(service: &Service, name: &str, code: Code, message: &str) -> Vec<Problem> {
    let is_unset = service.component == Component::Api && is_on(service, "ENABLE_TOKEN") && lacks(service, name);
    is_unset.then(|| Problem::warning(&service.path, code, message)).into_iter().collect()
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
        _ if lacks(service, NAME) => (service.path.clone(), "is not set, which is http to Timbr"),
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
