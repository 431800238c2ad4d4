//! A program on a computer without a browser: it shows a code, and asks until that was typed elsewhere (RFC 8628).

use crate::client::{Answer, Client};
use crate::hush;
use crate::stack::Stack;
use http::Method;
use protocol::auth::SignedIn;
use protocol::oauth::{CLIENT_ID, DeviceCodeAnswer, Grant};
use protocol::routes;

#[derive(Debug)]
pub struct Headless {
    pub client: Client,
    pub codes: DeviceCodeAnswer,
}

impl Headless {
    /// One that has asked for its codes, on a computer of this name.
    pub async fn on(stack: &Stack, name: &str) -> Self {
        let codes: DeviceCodeAnswer = Self::begin(stack, name).await.expect();
        hush::keep_secret(&codes.device_code);
        hush::keep_code(&codes.user_code);
        Self {
            client: Client::native(&stack.url()),
            codes,
        }
    }

    /// Asks for codes; the answer may be a refusal.
    pub async fn begin(stack: &Stack, name: &str) -> Answer {
        let client = Client::native(&stack.url());
        let form = [
            ("client_id", CLIENT_ID),
            ("name", name),
            ("os", "linux"),
            ("version", "1"),
        ];
        let ask = client
            .request(Method::POST, routes::DEVICE_AUTHORIZATION)
            .form(&form);
        client.send(ask).await
    }

    /// Asks once for what it waits for.
    pub async fn ask(&self) -> Answer {
        let device_code = self.codes.device_code.clone();
        let client_id = CLIENT_ID.to_owned();
        self.client
            .token(&Grant::DeviceCode {
                device_code,
                client_id,
            })
            .await
    }

    /// Asks once, is refused, and gives by which name.
    pub async fn is_told(&self) -> String {
        let answer = self.ask().await;
        assert_eq!(answer.status, 400, "{answer:?}");
        answer.oauth_error()
    }

    /// Asks once, is signed in, and holds its tokens from then on.
    pub async fn enters(&self) -> SignedIn {
        let signed_in: SignedIn = self.ask().await.expect();
        let tokens = signed_in.tokens.clone();
        self.client
            .hold(tokens.unwrap_or_else(|| panic!("a native client gets tokens")));
        signed_in
    }
}
