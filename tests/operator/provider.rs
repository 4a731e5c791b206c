//! A double of Entra and Graph that an operator is told of by its flags, with an application of its own.

use serde_json::{Value, json};
use testkit::{
    Azure, Scratch,
    azure::{App, Fault, Grant, Platform, Secret, Service},
};
use timbr_identity::compose::SIGN_ON;

use crate::{
    fixtures::{azure_sso_with, entra},
    harness::{Lab, Operator},
};

/// The double and its application.
pub struct Provider {
    pub azure: Azure,
    pub app: App,
    folder: Scratch,
}

impl Provider {
    /// One whose application has a secret of this value.
    pub fn new(value: &str) -> Self {
        let azure = Azure::start();
        azure.set_resource(Service::Graph, azure.url(Service::Graph));
        let app = azure.register("Timbr");
        let folder = Scratch::new("provider-").expect("a folder");
        std::fs::write(folder.path().join("ca.pem"), azure.ca_pem()).expect("a file");
        let provider = Self { azure, app, folder };
        provider.azure.set_platform(Some(Platform {
            tenant: provider.azure.tenant().to_owned(),
            client_id: provider.app.client_id.clone(),
            redirect_uri: format!("{}/oauth-authorized/azure", provider.public_url()),
        }));
        provider.accepts(&[value]);
        provider
    }

    /// The application's secrets have these values, and no others.
    pub fn accepts(&self, values: &[&str]) {
        self.azure.edit_app(&self.app.client_id, |app| app.secrets = values.iter().map(|it| Secret::of(it)).collect());
    }

    /// The registration is right, and may be read.
    pub fn register(&self) {
        let uri = format!("{}/oauth-authorized/azure", self.public_url());
        self.azure.edit_app(&self.app.client_id, |app| {
            app.grant(["Application.Read.All", "DelegatedPermissionGrant.Read.All"]);
            app.redirect_uris = vec![uri];
            app.ask(SIGN_ON.iter().map(|it| it.id));
            app.grants = vec![Grant::for_all("openid profile email User.Read")];
        });
    }

    /// Nobody answers any more; or everybody again.
    pub fn down(&self, down: bool) {
        self.azure.recover();
        if down {
            for service in Service::ALL {
                self.azure.always(service, Fault::Close);
            }
        }
    }

    /// Everybody is asked to come again after so many seconds.
    pub fn busy(&self, seconds: u32) {
        self.azure.recover();
        for service in Service::ALL {
            self.azure.always(service, Fault::Later(429, seconds, "too many requests".to_owned()));
        }
    }

    /// The public address of a timbr-platform, which people sign in to as it ought to be.
    pub fn public_url(&self) -> &str {
        self.azure.url(Service::Platform)
    }

    /// An AzureSso of the application, with more in its spec.
    pub fn sso(&self, mut more: Value) -> Value {
        let spec = more.as_object_mut().expect("fields");
        spec.insert("tenantId".to_owned(), self.azure.tenant().into());
        spec.insert("clientId".to_owned(), self.app.client_id.clone().into());
        spec.insert("publicUrl".to_owned(), self.public_url().into());
        azure_sso_with("sso", more)
    }

    /// What an operator is told.
    pub fn flags(&self) -> Vec<String> {
        vec![
            "--check-interval=10m".to_owned(),
            format!("--authority-url={}", self.azure.url(Service::Entra)),
            format!("--graph-url={}", self.azure.url(Service::Graph)),
            format!("--ca-bundle={}", self.folder.path().join("ca.pem").display()),
            "--allow-cidr=127.0.0.0/8".to_owned(),
        ]
    }

    /// Starts an operator that asks the double.
    pub async fn start(&self, lab: &Lab, more: &[&str]) -> Operator {
        let flags = self.flags();
        let flags: Vec<&str> = flags.iter().map(String::as_str).chain(more.iter().copied()).collect();
        lab.start_with(lab.account.kubeconfig.clone(), &flags).await
    }

    /// A new namespace with timbr-platform, the Secret with this value, and an AzureSso `sso`.
    pub async fn lab(&self, prefix: &str, value: &str) -> Lab {
        let lab = Lab::new(prefix).await;
        lab.apply_all(&[crate::fixtures::platform(), entra(value), self.sso(json!({}))]).await;
        lab
    }
}
