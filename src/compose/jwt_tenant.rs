//! What a JwtTenant asks for. Variables: Timbr's documentation, "Azure JWT", "Using JWT in Multi-tenant
//! Environments"; JWT_TENANT_KEY: Timbr's published Helm chart.

use crate::api::{
    ALGORITHM_NEEDS_KEY, Code, JwtAuthenticationSpec, JwtTenantSpec, JwtType, KEY_NEEDS_CUSTOM_TYPE, Problem, Reason,
    rules,
};

use super::{
    Case, Unresolved, Value,
    jwt::{audience, check_audience, check_fit, demand, joined, key},
    plan::Asked,
    references::{check_reference, resolve},
};

/// The tenant as it stands in variables' names. Two that differ only in case are one.
pub fn variable_part(spec: &JwtTenantSpec) -> String {
    spec.tenant.to_ascii_uppercase()
}

/// Whether some shells drop variables with this in their names.
pub fn is_dropped_by_shells(tenant: &str) -> bool {
    tenant.contains('-')
}

/// What is wrong with the spec by itself.
pub fn problems(spec: &JwtTenantSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    problems.extend(rules::TENANT.check("spec.tenant", &spec.tenant));
    problems.extend(rules::TENANT_RESERVED.check("spec.tenant", &spec.tenant));
    problems.extend(check_audience(spec.audience.as_ref()));
    problems.extend(spec.key_ref.iter().flat_map(|reference| check_reference("spec.keyRef", reference)));
    problems
}

/// What an accepted spec asks for.
pub fn ask(spec: &JwtTenantSpec, case: &Case<'_>) -> Asked {
    let mut asked = Asked::default();
    let name = variable_part(spec);
    if is_dropped_by_shells(&name) {
        asked.problems.push(Problem::warning(
            "spec.tenant",
            Code::TenantHyphen,
            format!(
                "the variables are called JWT_{name}_…, and some shells (dash among them) drop variables with a dash in their names; if Timbr does not see them, choose a tenant id without a dash"
            ),
        ));
    }
    if spec.audience.is_none() {
        asked.problems.push(Problem::warning(
            "spec.audience",
            Code::AudienceNotValidated,
            format!("without audience no JWT_{name}_AUDIENCE is written; set it to the Application (client) ID that this tenant's tokens are issued for"),
        ));
    }
    let authentication = case.authentication();
    if authentication.is_none() && (case.snapshot.complete || !case.jwt.is_empty()) {
        asked.unresolved.push(missing(case));
        return asked;
    }
    if authentication.is_none() {
        asked.not_in_input("spec", "a JwtAuthentication");
    }
    let inherited = authentication.map(|authentication| authentication.algorithms.as_slice());
    let algorithms = spec.algorithms.as_deref().or(inherited).unwrap_or_default();
    if authentication.is_some_and(|authentication| authentication.type_ == JwtType::Azure) {
        if spec.key_ref.is_some() {
            asked.problems.push(Problem::error("spec.keyRef", Code::KeyNeedsCustomType, KEY_NEEDS_CUSTOM_TYPE));
        }
        if algorithms.iter().any(|algorithm| algorithm.is_symmetric()) {
            asked.problems.push(Problem::error("spec.algorithms", Code::AlgorithmNeedsKey, ALGORITHM_NEEDS_KEY));
        }
    }
    let key = spec.key_ref.as_ref().and_then(|reference| key("spec.keyRef", reference, algorithms, case, &mut asked));
    check_inherited_key(spec, authentication, case, &mut asked);
    let audience = audience(spec.audience.as_ref(), &mut asked);
    let algorithm = match algorithms {
        [] => Value::Placeholder("<JwtAuthentication: algorithms>".to_owned()),
        algorithms => joined(algorithms),
    };
    let variables = [("ALGORITHM", Some(algorithm)), ("AUDIENCE", audience), ("KEY", key)];
    asked.demands.extend(
        variables.into_iter().filter_map(|(suffix, value)| Some(demand(format!("JWT_{name}_{suffix}"), value?))),
    );
    asked
}

/// A tenant without a key has that of the JwtAuthentication, and its own algorithms must fit it: with
/// HS256 a public key would be the secret that signs.
fn check_inherited_key(
    spec: &JwtTenantSpec,
    authentication: Option<&JwtAuthenticationSpec>,
    case: &Case<'_>,
    asked: &mut Asked,
) {
    let inherited = authentication.and_then(|authentication| authentication.key_ref.as_ref());
    if let (None, Some(algorithms), Some(reference)) = (&spec.key_ref, &spec.algorithms, inherited)
        && let Ok(value) = resolve(case.snapshot, "spec.algorithms", reference)
    {
        check_fit("spec.algorithms", &value, reference, algorithms, asked);
    }
}

fn missing(case: &Case<'_>) -> Unresolved {
    let message = match case.jwt.first() {
        Some(lead) => format!(
            "JwtAuthentication {} is not accepted, or something that it references is missing; its status says what to correct",
            lead.name
        ),
        None => {
            "this installation has no JwtAuthentication, without which Timbr takes no tokens; create one".to_owned()
        }
    };
    Unresolved { reason: Reason::JwtAuthenticationMissing, path: "spec".to_owned(), message }
}
