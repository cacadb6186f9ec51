//! net
#[allow(dead_code)]
pub mod tls;
