//! A real OpenID provider: Keycloak, over HTTPS with a certificate of an authority made for it.
//!
//! It is fetched by `hack/referees/run-keycloak`, as it needs Java and is large; what needs it is not part of the
//! everyday tests.

mod as_entra;

use std::path::Path;
use std::time::Duration;

use crate::certificates::Authority;
use crate::ports::free_port;
use crate::supervisor::{Process, Scratch};
use crate::users::write;

pub use as_entra::AsEntra;

/// How long it may take to start: the first time it builds itself anew.
const START: Duration = Duration::from_secs(300);

/// A running Keycloak with nothing but its own realm in it. Dropping it ends it and forgets everything.
#[derive(Debug)]
pub struct Keycloak {
    url: String,
    plain: u16,
    authority: Authority,
    process: Process,
    _scratch: Scratch,
}

impl Keycloak {
    /// The one who may do everything, in the realm `master`.
    pub const ADMIN: &str = "admin";
    /// Their password.
    pub const PASSWORD: &str = "admin-of-a-test";

    /// Starts the Keycloak that is unpacked in a folder.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(home: &Path) -> Self {
        let scratch = Scratch::new("keycloak-").expect("a temporary folder");
        let authority = Authority::new();
        let identity = authority.server();
        let file = |name: &str| scratch.path().join(name);
        write(&file("tls.crt"), &identity.certificate_pem);
        write(&file("tls.key"), &identity.key_pem);
        let (port, plain) = (free_port(), free_port());
        let flag = |name: &str, path: &str| format!("--{name}={}", file(path).display());
        let process = Process::builder(home.join("bin/kc.sh"), file("log"))
            .args(["start-dev", "--db=dev-mem", "--http-host=127.0.0.1"])
            .args([format!("--http-port={plain}"), format!("--https-port={port}")])
            .args([flag("https-certificate-file", "tls.crt"), flag("https-certificate-key-file", "tls.key")])
            .env("KC_BOOTSTRAP_ADMIN_USERNAME", Self::ADMIN)
            .env("KC_BOOTSTRAP_ADMIN_PASSWORD", Self::PASSWORD)
            .start()
            .expect("Keycloak can be started");
        process.wait_for_line(|line| line.contains("Listening on:"), START).await;
        Self { url: format!("https://127.0.0.1:{port}"), plain, authority, process, _scratch: scratch }
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The certificate of the authority to trust, PEM.
    pub fn ca_pem(&self) -> String {
        self.authority.pem()
    }

    /// A door to it that has Entra's path of tokens. A tenant is the realm of that name.
    pub fn as_entra(&self) -> AsEntra {
        AsEntra::start(&self.authority.server(), self.plain)
    }

    /// The end of what it has logged.
    pub fn log(&self) -> String {
        self.process.tail()
    }
}
