//! What a JwtAuthentication asks for. Variables, spellings and defaults: Timbr's documentation, "JWT
//! Token Authentication (Azure)" and "Azure JWT"; JWT_DEFAULT_KEY: Timbr's published Helm chart.

use crate::api::{
    ALGORITHM_NEEDS_KEY, CUSTOM_CLAIMS, CheckLevel::Required, Code, JwtAlgorithm, JwtAuthenticationSpec, JwtType,
    KEY_NEEDS_CUSTOM_TYPE, KEY_REQUIRED, Problem, USER_CLAIM_NOT_SUPPORTED, rules,
};

use super::{
    Case, PlainValue, Probe, Value,
    jwt::{audience, check_audience, demand, joined, key},
    plan::Asked,
    references::check_reference,
};

/// What is wrong with the spec by itself.
pub fn problems(spec: &JwtAuthenticationSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    problems.extend(check_audience(spec.audience.as_ref()));
    problems.extend(spec.issuer.as_ref().and_then(|issuer| rules::ISSUER.check("spec.issuer", issuer)));
    problems.extend(spec.user_claim.as_ref().and_then(|claim| rules::CLAIM.check("spec.userClaim", claim)));
    problems.extend(spec.key_ref.iter().flat_map(|reference| check_reference("spec.keyRef", reference)));
    let mut refuse = |code, message: &str| problems.push(Problem::error("spec", code, message));
    match spec.type_ {
        JwtType::Azure => {
            if spec.key_ref.is_some() {
                refuse(Code::KeyNeedsCustomType, KEY_NEEDS_CUSTOM_TYPE);
            }
            if spec.algorithms.iter().any(|algorithm| algorithm.is_symmetric()) {
                refuse(Code::AlgorithmNeedsKey, ALGORITHM_NEEDS_KEY);
            }
        }
        JwtType::Custom => {
            if spec.key_ref.is_none() {
                refuse(Code::KeyRequired, KEY_REQUIRED);
            }
            let unknown = |claim: &String| rules::CLAIM.holds(claim) && !CUSTOM_CLAIMS.contains(&claim.as_str());
            if spec.user_claim.as_ref().is_some_and(unknown) {
                refuse(Code::UserClaimNotSupported, USER_CLAIM_NOT_SUPPORTED);
            }
        }
    }
    problems
}

/// What an accepted spec asks for.
pub fn ask(spec: &JwtAuthenticationSpec, case: &Case<'_>) -> Asked {
    let mut asked = Asked::default();
    warn(spec, case, &mut asked.problems);
    let (type_, usual_claim) = match spec.type_ {
        JwtType::Azure => ("azure", "upn"),
        JwtType::Custom => ("custom", "email"),
    };
    let key =
        spec.key_ref.as_ref().and_then(|reference| key("spec.keyRef", reference, &spec.algorithms, case, &mut asked));
    let audience = audience(spec.audience.as_ref(), &mut asked);
    let claim = spec.user_claim.as_deref().unwrap_or(usual_claim);
    let claim = asked.plain(PlainValue::new("spec.userClaim", claim));
    // Keys of another type come from a Secret, and its issuer need not publish any.
    if let (JwtType::Azure, Some(issuer)) = (spec.type_, &spec.issuer) {
        // The key of the other one opens tokens, and is Timbr's.
        let signs = spec.algorithms.iter().filter(|algorithm| **algorithm == JwtAlgorithm::Rs256);
        let algorithms: Vec<&str> = signs.map(|algorithm| algorithm.as_str()).collect();
        if !algorithms.is_empty() {
            asked.check("Issuer", Required, Probe::Issuer { issuer: issuer.clone(), jwks_url: None, algorithms });
        }
    }
    let issuer = spec.issuer.as_ref().and_then(|issuer| asked.plain(PlainValue::new("spec.issuer", issuer.as_str())));
    let variables = [
        ("ENABLE_TOKEN", Some(Value::lower_bool(true))),
        ("JWT_TYPE", Some(Value::constant(type_))),
        ("JWT_DEFAULT_ALGORITHM", Some(joined(&spec.algorithms))),
        ("JWT_DEFAULT_AUDIENCE", audience),
        ("JWT_DEFAULT_KEY", key),
        ("JWT_USE_EMAIL_OR_USER", claim),
        ("JWT_ISSUER", issuer),
        ("JWT_USE_TENANT_USER", Some(Value::capital_bool(spec.tenant_users))),
    ];
    asked.demands.extend(variables.into_iter().filter_map(|(name, value)| Some(demand(name, value?))));
    asked
}

fn warn(spec: &JwtAuthenticationSpec, case: &Case<'_>, problems: &mut Vec<Problem>) {
    let mut warn = |path: &str, code, message: &str| problems.push(Problem::warning(path, code, message));
    if spec.audience.is_none() {
        warn(
            "spec.audience",
            Code::AudienceNotValidated,
            "without audience Timbr accepts tokens that were issued for any other application; set it to the Application (client) ID of the API",
        );
    }
    match &spec.issuer {
        None => warn(
            "spec.issuer",
            Code::IssuerNotValidated,
            "without issuer Timbr does not check who issued a token; set it to the iss claim of your tokens",
        ),
        Some(_) if case.has_tenants => warn(
            "spec.issuer",
            Code::SingleIssuer,
            "Timbr has one issuer for all tenants: requests of a JwtTenant from another directory must name theirs in the header x-jwt-issuer",
        ),
        Some(_) => {}
    }
    if let Some(why) = lacks_upn(spec.type_, spec.user_claim.as_deref(), spec.issuer.as_deref()) {
        warn("spec.userClaim", Code::UpnInV2Token, why);
    }
}

/// Why tokens lack the claim that names the user.
pub fn lacks_upn(type_: JwtType, claim: Option<&str>, issuer: Option<&str>) -> Option<&'static str> {
    let takes_upn = type_ == JwtType::Azure && claim.is_none_or(|claim| claim == "upn");
    let is_v2 = issuer.is_some_and(|issuer| issuer.trim_end_matches('/').ends_with("/v2.0"));
    (takes_upn && is_v2).then_some(
        "tokens of a v2.0 issuer carry no upn unless it is added as an optional claim of the app registration; add it there, or name another claim, such as preferred_username",
    )
}
