//! Whom Timbr takes the holder of a token for.

use serde_json::Value;

use crate::{
    api::{CUSTOM_CLAIMS, JwtType, foreign},
    compose::lacks_upn,
};

use super::{
    Token,
    finding::{TokenCheck, TokenFinding, TokenResult},
};

/// Claims that name a user, the usual ones first.
const NAMES: [&str; 6] = ["preferred_username", "upn", "unique_name", "email", "username", "name"];

/// The claim that names a user, and whether a token has it.
#[derive(Clone, Copy, Debug)]
pub struct UserClaim<'a> {
    /// `Kind name`.
    pub object: &'a str,
    /// The claim.
    pub claim: &'a str,
    /// Whose tokens are taken; `None`: the provider may be anybody.
    pub type_: Option<JwtType>,
}

impl UserClaim<'_> {
    /// The claim's value, or what is wrong with it.
    pub fn read<'t>(&self, token: &'t Token) -> Result<&'t str, TokenFinding> {
        match token.claims.get(self.claim) {
            Some(Value::String(value)) if !value.is_empty() => Ok(value),
            Some(_) => Err(self.finding(
                TokenResult::Wrong,
                &format!("is {}, which is no text in the token; name another claim{}", self.claim, self.others(token)),
            )),
            None => Err(self.finding(TokenResult::Wrong, &self.absent(token))),
        }
    }

    /// A finding about the claim.
    pub fn finding(&self, result: TokenResult, sentence: &str) -> TokenFinding {
        TokenFinding::new(self.object, "spec.userClaim", TokenCheck::UserClaim, result, sentence)
    }

    fn absent(&self, token: &Token) -> String {
        let claim = self.claim;
        let others = self.others(token);
        if token.known.app_only {
            return format!(
                "is {claim}, and the token has none: it is an application's own, and speaks for no user; get one of a user, or name a claim that such tokens have, and create a user of that name in Timbr{others}"
            );
        }
        let why = self.type_.and_then(|type_| lacks_upn(type_, Some(claim), Some(&token.known.issuer)));
        match why {
            Some(why) => format!("is {claim}, and the token has none: {why}{others}"),
            None => format!("is {claim}, and the token has none; name a claim that it has{others}"),
        }
    }

    /// Which other claims may do: their names.
    fn others(&self, token: &Token) -> String {
        let is_possible = |name: &&str| {
            **name != *self.claim
                && token.text(name).is_some()
                && (self.type_ != Some(JwtType::Custom) || CUSTOM_CLAIMS.contains(name))
        };
        let found: Vec<&str> = NAMES.iter().copied().filter(is_possible).collect();
        if found.is_empty() { String::new() } else { format!(" (it has {})", found.join(", ")) }
    }
}

/// The user whom Timbr must know.
pub fn name(object: &str, user: &str) -> TokenFinding {
    let shown = foreign(user);
    let is_whole = shown.get(1..shown.len() - 1) == Some(user);
    let shortened = if is_whole { "" } else { " (not shown as a whole here)" };
    TokenFinding::new(
        object,
        "spec.userClaim",
        TokenCheck::UserName,
        TokenResult::Unknown,
        format!(
            "Timbr takes the holder for the user {shown}{shortened}; verify that a user of exactly this name exists in Timbr"
        ),
    )
}
