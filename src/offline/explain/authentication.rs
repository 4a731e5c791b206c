//! What timbr-api makes of a token: JwtAuthentication and JwtTenant.

use crate::api::{JwtAlgorithm, JwtTenantSpec, JwtType, Kind, Meta, foreign};

use super::{
    Token, audience,
    finding::{TOKEN, TokenCheck, TokenFinding, TokenResult, title},
    issuer,
    setup::{Authentication, Setup},
    user::{self, UserClaim},
};

/// What timbr-api makes of a token.
pub fn findings(setup: &Setup<'_>, token: &Token, tenant: Option<&str>) -> Vec<TokenFinding> {
    let not_accepted = setup.not_accepted.iter().map(|meta| {
        // Beside one that counts, another one is not what keeps the token out.
        let is_missed = meta.kind == Kind::JwtAuthentication && setup.authentications.is_empty();
        let result = if is_missed { TokenResult::Wrong } else { TokenResult::Unknown };
        let sentence = "is not accepted, so the operator does not deliver what it says; correct it (timbr-identity validate says what)";
        TokenFinding::new(title(meta), "spec", TokenCheck::NotAccepted, result, sentence)
    });
    let mut findings: Vec<TokenFinding> = not_accepted.collect();
    if setup.authentications.is_empty() && !setup.not_accepted.iter().any(|meta| meta.kind == Kind::JwtAuthentication) {
        let sentence = "none is in the input: timbr-api takes no tokens without one (ENABLE_TOKEN), and nothing can be said of audience, issuer, algorithm and user";
        findings.push(TokenFinding::none(Kind::JwtAuthentication, TokenCheck::NotAccepted, sentence));
    }
    for authentication in &setup.authentications {
        findings.extend(Case::new(authentication, token, tenant).findings(setup));
    }
    findings
}

/// A token at a timbr-api.
struct Case<'a> {
    authentication: &'a Authentication<'a>,
    object: String,
    /// The JwtTenant that a request names.
    at: Option<(&'a Meta, &'a JwtTenantSpec)>,
    token: &'a Token,
    /// As a request names it.
    tenant: Option<&'a str>,
}

impl<'a> Case<'a> {
    fn new(authentication: &'a Authentication<'a>, token: &'a Token, tenant: Option<&'a str>) -> Self {
        // Its name is that of variables, which are upper case.
        let is_it = |spec: &JwtTenantSpec| tenant.is_some_and(|tenant| tenant.eq_ignore_ascii_case(&spec.tenant));
        let at = authentication.tenants.iter().copied().find(|(_, spec)| is_it(spec));
        Self { authentication, object: title(authentication.meta), at, token, tenant }
    }

    fn findings(&self, setup: &Setup<'_>) -> Vec<TokenFinding> {
        let spec = self.authentication.spec;
        let mut findings = Vec::new();
        if spec.suspend {
            findings.push(self.find(
                "spec.suspend",
                TokenCheck::NotAccepted,
                TokenResult::Unknown,
                "is true: Timbr may still go by what was delivered before",
            ));
        }
        findings.push(issuer::of_type(&self.object, spec.type_, self.token, &setup.entra));
        findings.extend(self.tenant());
        findings.push(self.audience());
        findings.push(issuer::finding(&self.object, spec.issuer.as_deref(), self.token, &setup.entra));
        findings.push(self.algorithm());
        findings.extend(self.user());
        findings.push(self.nonce());
        findings
    }

    fn find(&self, path: &str, code: TokenCheck, result: TokenResult, sentence: impl AsRef<str>) -> TokenFinding {
        TokenFinding::new(&self.object, path, code, result, sentence)
    }

    /// Which tenant's variables count.
    fn tenant(&self) -> Option<TokenFinding> {
        let tenants = &self.authentication.tenants;
        let known: Vec<&str> = tenants.iter().map(|(_, spec)| spec.tenant.as_str()).collect();
        let known = known.join(", ");
        match (self.tenant, self.at) {
            (Some(tenant), Some((meta, _))) => Some(TokenFinding::new(
                title(meta),
                "spec.tenant",
                TokenCheck::Tenant,
                TokenResult::Ok,
                format!("requests with x-jwt-tenant-id: {} are held against it", foreign(tenant)),
            )),
            (Some(tenant), None) => {
                let others = if known.is_empty() { String::new() } else { format!(" (there are {known})") };
                let sentence = format!(
                    "none of the input is of tenant {}{others}, so what JwtAuthentication says is presumed; add one, or correct x-jwt-tenant-id",
                    foreign(tenant)
                );
                Some(TokenFinding::none(Kind::JwtTenant, TokenCheck::Tenant, &sentence))
            }
            (None, _) if !known.is_empty() => {
                let sentence = format!(
                    "requests may name a tenant in the header x-jwt-tenant-id; without one what JwtAuthentication says counts; to ask about a tenant, add --tenant ({known})"
                );
                Some(TokenFinding::none(Kind::JwtTenant, TokenCheck::Tenant, &sentence))
            }
            (None, _) => None,
        }
    }

    fn audience(&self) -> TokenFinding {
        let own = self.at.and_then(|(meta, spec)| Some((title(meta), spec.audience.as_deref()?)));
        let spec = self.authentication.spec;
        let (object, wanted) = match own {
            Some((object, audience)) => (object, Some(audience)),
            None => (self.object.clone(), spec.audience.as_deref()),
        };
        let mut finding = audience::finding(object, wanted, self.token);
        let audiences = self.token.audiences();
        let of_tenant = |(_, spec): &&(&Meta, &JwtTenantSpec)| {
            spec.audience.as_deref().is_some_and(|audience| audiences.contains(&audience))
        };
        if finding.result == TokenResult::Wrong
            && let Some((meta, spec)) = self.authentication.tenants.iter().find(of_tenant)
        {
            finding.message += &format!("; it is that of {}: send x-jwt-tenant-id: {}", title(meta), spec.tenant);
        }
        finding
    }

    fn algorithm(&self) -> TokenFinding {
        let own = self.at.and_then(|(meta, spec)| Some((title(meta), spec.algorithms.as_deref()?)));
        let (object, accepted) =
            own.unwrap_or_else(|| (self.object.clone(), self.authentication.spec.algorithms.as_slice()));
        let list = |all: &[JwtAlgorithm]| all.iter().map(|it| it.as_str()).collect::<Vec<_>>().join(", ");
        let accepted_list = list(accepted);
        let find = |result, sentence: String| {
            TokenFinding::new(&object, "spec.algorithms", TokenCheck::Algorithm, result, sentence)
        };
        let Some(used) = self.token.algorithm.as_deref() else {
            return find(
                TokenResult::Wrong,
                "the token's header does not say how it is signed (alg); get another token".to_owned(),
            );
        };
        if accepted.iter().any(|algorithm| algorithm.as_str() == used) {
            return find(TokenResult::Ok, format!("has {used}, by which the token is signed"));
        }
        let shown = foreign(used);
        let fix = match JwtAlgorithm::ALL.into_iter().find(|algorithm| algorithm.as_str() == used) {
            _ if used.eq_ignore_ascii_case("none") => {
                "it is not signed at all, and anybody could have written it; get one that is".to_owned()
            }
            None => format!("Timbr knows {} alone; have the issuer sign by one of them", list(&JwtAlgorithm::ALL)),
            Some(it) if it.is_symmetric() && self.authentication.spec.type_ == JwtType::Azure => {
                "Entra signs by RS256, and type Azure has no secret to check it with; get a token of Entra".to_owned()
            }
            Some(it) if it.is_symmetric() => {
                "it needs the secret in keyRef, never a public key, which everybody has; have the issuer sign by what is listed, or change algorithms and key together".to_owned()
            }
            Some(_) => format!("add {used}; its public key must be what the token is checked with"),
        };
        find(TokenResult::Wrong, format!("has {accepted_list}, and the token is signed by {shown}: {fix}"))
    }

    fn user(&self) -> Vec<TokenFinding> {
        let spec = self.authentication.spec;
        let usual = if spec.type_ == JwtType::Azure { "upn" } else { "email" };
        let claim = spec.user_claim.as_deref().unwrap_or(usual);
        let by_claim = UserClaim { object: &self.object, claim, type_: Some(spec.type_) };
        let value = match by_claim.read(self.token) {
            Ok(value) => value,
            Err(finding) => return vec![finding, self.tenant_users(None)],
        };
        let absent = if spec.user_claim.is_none() { "is absent, so Timbr takes" } else { "is" };
        let mut findings = vec![
            by_claim.finding(TokenResult::Ok, &format!("{absent} {claim}, which the token has: {}", foreign(value))),
            self.tenant_users(Some(value)),
        ];
        match (spec.tenant_users, self.tenant) {
            (false, _) => findings.push(user::name(&self.object, value)),
            (true, Some(tenant)) => findings.push(user::name(&self.object, &format!("{tenant}/{value}"))),
            // Which user it is depends on the tenant.
            (true, None) => {}
        }
        findings
    }

    /// Whether users are known by their tenants, and with whom that may be mistaken.
    fn tenant_users(&self, value: Option<&str>) -> TokenFinding {
        let shown = value.map_or("the claim's value".to_owned(), foreign);
        let has_tenants = self.tenant.is_some() || !self.authentication.tenants.is_empty();
        let (result, sentence) = match (self.authentication.spec.tenant_users, self.tenant) {
            (true, Some(tenant)) => (
                TokenResult::Ok,
                format!("is true: Timbr puts the tenant {} and a slash before {shown}", foreign(tenant)),
            ),
            (true, None) => (
                TokenResult::Unknown,
                format!(
                    "is true: Timbr puts the tenant that a request names in x-jwt-tenant-id and a slash before {shown}; to see the name as a whole, add --tenant"
                ),
            ),
            (false, _) if has_tenants => (
                TokenResult::Unknown,
                format!(
                    "is false: Timbr knows the user as {shown} whatever the tenant, so users of two tenants with one name are one user; set it to true if Timbr's users are called tenant/name"
                ),
            ),
            (false, _) => (TokenResult::Ok, format!("is false: Timbr knows the user as {shown}, without a tenant")),
        };
        self.find("spec.tenantUsers", TokenCheck::TenantUsers, result, sentence)
    }

    fn nonce(&self) -> TokenFinding {
        let (result, sentence) = if self.token.claims.contains_key("nonce") {
            (TokenResult::Unknown, "the token has one: requests must repeat it in the header x-jwt-nonce")
        } else {
            (TokenResult::Ok, "the token has none, so requests need no x-jwt-nonce")
        };
        TokenFinding::new(TOKEN, "nonce", TokenCheck::Nonce, result, sentence)
    }
}
