//! timbr-platform behind its public address, as far as its sign-in can be looked at: it is made with Flask-AppBuilder,
//! whose page `/login/<provider>` sends people to the provider.

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Service;
use super::ask::{Answer, Ask};
use super::world::World;

/// What the pods of timbr-platform run with.
#[derive(Debug, Clone)]
pub struct Platform {
    /// The tenant in OAUTH_BASE_URL.
    pub tenant: String,
    /// OAUTH_CLIENT_ID.
    pub client_id: String,
    /// Where Entra is to send people back to, as the platform makes it out of the request and OAUTH_DEFAULT_SCHEME.
    pub redirect_uri: String,
}

pub(super) fn answer(world: &World, ask: &Ask<'_>) -> Result<Answer, Answer> {
    if *ask.method != Method::GET {
        let text = format!("{} of {}", ask.method, ask.raw_path);
        return Err(Answer::text(405, "Method Not Allowed").violating(text));
    }
    let path: Vec<&str> = ask.path.iter().map(String::as_str).collect();
    let to = |place: String| {
        let mut answer = Answer::text(302, "<!doctype html><title>Redirecting...</title>");
        answer.headers.push(("location", place));
        answer
    };
    match (&path[..], &world.platform) {
        ([""], _) => Ok(to("/login/".to_owned())),
        (["login", ""], _) => Ok(Answer::text(200, "<!DOCTYPE html><html><head><title>Sign in</title></head></html>")),
        (["login", "azure"], Some(Platform { tenant, client_id, redirect_uri })) => {
            let entra = &world.urls[&Service::Entra];
            let uri = utf8_percent_encode(redirect_uri, NON_ALPHANUMERIC);
            Ok(to(format!(
                "{entra}/{tenant}/oauth2/authorize?response_type=code&client_id={client_id}&redirect_uri={uri}&scope=User.Read&state=x"
            )))
        }
        // It knows no provider, and shows its own page.
        (["login", "azure"], None) => Ok(to("/login/".to_owned())),
        _ => {
            let text = format!("no such path: {}", ask.raw_path);
            Err(Answer::text(404, "Not Found").violating(text))
        }
    }
}
