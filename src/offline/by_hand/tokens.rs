//! What is wrong with the variables of tokens, each beside the others. What the engine would say of a
//! resource it says here too.

use std::collections::BTreeMap;

use crate::{
    api::{CUSTOM_CLAIMS, Code, Component, JwtAlgorithm, JwtType, Problem},
    compose::{is_dropped_by_shells, lacks_upn, misfit, mixture},
};

use super::{
    Documented, Form, Service, Variable,
    reading::{has_shared_key, read_list},
    tenant_of,
};

const SWITCH: &str = "ENABLE_TOKEN";
const TYPE: &str = "JWT_TYPE";
const ALGORITHM: &str = "JWT_DEFAULT_ALGORITHM";
const KEY: &str = "JWT_DEFAULT_KEY";
const AUDIENCE: &str = "JWT_DEFAULT_AUDIENCE";
const ISSUER: &str = "JWT_ISSUER";
const CLAIM: &str = "JWT_USE_EMAIL_OR_USER";

/// What is found on the REST API.
pub fn problems(service: &Service) -> Vec<Problem> {
    if service.component != Component::Api {
        return vec![];
    }
    let always = [of_type, algorithms_beside_each_other, fit_of_keys];
    let when_on = [audience, issuer, claim, tenants];
    let when_on = when_on.into_iter().filter(|_| service.is_on(SWITCH));
    always.into_iter().chain(when_on).flat_map(|rule| rule(service)).collect()
}

fn type_of(service: &Service) -> Option<JwtType> {
    match service.meant(TYPE)?.as_str() {
        "azure" => Some(JwtType::Azure),
        "custom" => Some(JwtType::Custom),
        _ => None,
    }
}

fn error(service: &Service, variable: &Variable, code: Code, message: String) -> Problem {
    Problem::error(service.value_path(variable), code, message)
}

fn warning(service: &Service, variable: &Variable, code: Code, message: String) -> Problem {
    Problem::warning(service.value_path(variable), code, message)
}

/// What each type of tokens takes.
fn of_type(service: &Service) -> Vec<Problem> {
    let type_ = type_of(service);
    let problem = |variable: &Variable, code, message: &str| {
        error(service, variable, code, format!("{} {message}", variable.name))
    };
    let of_type = |(variable, known): (&Variable, &Documented)| {
        let meant = variable.meant()?;
        match (type_?, known.form) {
            (JwtType::Azure, Form::Algorithms) if has_shared_key(meant.as_str()) => Some(problem(
                variable,
                Code::AlgorithmInvalid,
                "holds HS256 or AES, which need a secret key, while JWT_TYPE azure checks tokens with Microsoft's public keys; write RS256",
            )),
            (JwtType::Custom, Form::Claim) if !CUSTOM_CLAIMS.contains(&meant.as_str()) => Some(problem(
                variable,
                Code::ValueInvalid,
                "must be email or username: with JWT_TYPE custom Timbr's documentation knows no other claim",
            )),
            _ => None,
        }
    };
    service.documented().filter_map(of_type).collect()
}

/// Algorithms of both sorts, which one key cannot serve.
fn algorithms_beside_each_other(service: &Service) -> Vec<Problem> {
    let mixed = |(variable, known): (&Variable, &Documented)| {
        let meant = variable.meant().filter(|_| known.form == Form::Algorithms)?;
        let why = mixture(&read_list(meant.as_str()))?;
        Some(warning(service, variable, Code::AlgorithmsMixed, format!("{}: {why}", variable.name)))
    };
    // Beside JWT_TYPE azure those of secrets are wrong at all.
    let lists = service.documented().filter(|_| type_of(service) == Some(JwtType::Custom));
    lists.filter_map(mixed).collect()
}

/// The algorithms that a key is used with, those of a tenant or else the API's or else Timbr's default;
/// none when nobody can tell.
fn algorithms(service: &Service, tenant: Option<&str>) -> Vec<JwtAlgorithm> {
    let own = tenant.map(|tenant| format!("JWT_{tenant}_ALGORITHM"));
    match own.as_deref().into_iter().chain([ALGORITHM]).find(|name| !service.lacks(name)) {
        Some(name) => service.meant(name).map(|meant| read_list(meant.as_str())).unwrap_or_default(),
        None => vec![JwtAlgorithm::Rs256],
    }
}

/// Whether each key fits the algorithms that it is used with; a tenant without a key has the API's.
fn fit_of_keys(service: &Service) -> Vec<Problem> {
    if type_of(service) != Some(JwtType::Custom) {
        return vec![];
    }
    let misfit = |key: &Variable, tenant: Option<&str>| misfit(key.key()?.expose(), &algorithms(service, tenant));
    let invalid = |variable: &Variable, message: String| error(service, variable, Code::ValueInvalid, message);
    let of_key = |(variable, known): (&Variable, &Documented)| {
        if known.form != Form::Key {
            return None;
        }
        let why = misfit(variable, tenant_of(&variable.name))?;
        Some(invalid(variable, format!("{}: the value {why}", variable.name)))
    };
    let of_algorithms = |(variable, _): (&Variable, &Documented)| {
        let tenant = tenant_of(&variable.name).filter(|_| variable.name.ends_with("_ALGORITHM"))?;
        let has_key = service.has(&format!("JWT_{tenant}_KEY"));
        let why = misfit(service.variable(KEY).filter(|_| !has_key)?, Some(tenant))?;
        let name = &variable.name;
        Some(invalid(
            variable,
            format!("{name} does not fit {KEY}, which the tenant has without a key of its own: that {why}"),
        ))
    };
    service.documented().filter_map(of_key).chain(service.documented().filter_map(of_algorithms)).collect()
}

fn audience(service: &Service) -> Vec<Problem> {
    const MESSAGE: &str = "JWT_DEFAULT_AUDIENCE is not set, so Timbr accepts tokens that were issued for any other application; set it to the audience of the tokens that are meant for Timbr, commonly the client id";
    unless_set(service, AUDIENCE, Code::AudienceNotValidated, MESSAGE)
}

fn issuer(service: &Service) -> Vec<Problem> {
    const MESSAGE: &str = "JWT_ISSUER is not set, so Timbr does not check who issued a token; set it to the tokens' iss, in the same letters";
    unless_set(service, ISSUER, Code::IssuerNotValidated, MESSAGE)
}

fn unless_set(service: &Service, name: &str, code: Code, message: &str) -> Vec<Problem> {
    service.lacks(name).then(|| Problem::warning(&service.path, code, message)).into_iter().collect()
}

/// Whether tokens have the claim that names their user.
fn claim(service: &Service) -> Vec<Problem> {
    let meant = service.meant(CLAIM);
    let (Some(type_), Some(issuer)) = (type_of(service), service.variable(ISSUER)) else { return vec![] };
    // What is there and cannot be read may be any claim.
    if meant.is_none() && !service.lacks(CLAIM) {
        return vec![];
    }
    let url = issuer.meant();
    let why = lacks_upn(type_, meant.as_ref().map(|meant| meant.as_str()), url.as_ref().map(|url| url.as_str()));
    let (variable, state) = match service.variable(CLAIM) {
        Some(variable) => (variable, "is upn"),
        None => (issuer, "is not set, which is upn beside JWT_TYPE azure"),
    };
    why.map(|why| warning(service, variable, Code::UpnInV2Token, format!("{CLAIM} {state}: {why}")))
        .into_iter()
        .collect()
}

/// What is wrong with tenants.
fn tenants(service: &Service) -> Vec<Problem> {
    // Each with the first of its variables.
    let mut tenants: BTreeMap<&str, &Variable> = BTreeMap::new();
    for (variable, _) in service.documented() {
        if let Some(tenant) = tenant_of(&variable.name) {
            tenants.entry(tenant).or_insert(variable);
        }
    }
    let mut problems = Vec::new();
    for (tenant, variable) in &tenants {
        let audience = format!("JWT_{tenant}_AUDIENCE");
        if service.lacks(&audience) {
            let message = format!(
                "{audience} is not set, so nobody can tell which tokens the tenant takes; set it to the audience that its tokens are issued for"
            );
            problems.push(Problem::warning(&variable.path, Code::AudienceNotValidated, message));
        }
        if is_dropped_by_shells(tenant) {
            let message = format!(
                "{} has a dash in its name, and some shells (dash among them) drop such variables; if Timbr does not see it, choose a tenant id without a dash",
                variable.name
            );
            problems.push(Problem::warning(&variable.path, Code::TenantHyphen, message));
        }
    }
    let issuer = service.variable(ISSUER).filter(|issuer| !tenants.is_empty() && issuer.text().is_some());
    problems.extend(issuer.filter(|_| !service.lacks(ISSUER)).map(|issuer| {
        let message = format!(
            "{ISSUER} is the issuer of all tenants: requests of a tenant from another directory must name theirs in the header x-jwt-issuer"
        );
        warning(service, issuer, Code::SingleIssuer, message)
    }));
    problems
}
