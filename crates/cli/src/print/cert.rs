//! Certificates.

use api::types::CertChain;

use super::{Page, Show, Tone, clean};

impl Show for CertChain {
    fn human(&self, page: &mut Page) {
        let tone = if self.verdict == "valid" { Tone::Good } else { Tone::Bad };
        let lowest = self.certificates.first().map_or("", |lowest| &lowest.kind);
        let only = match lowest {
            "member" => " (the member's certificate; no device's was checked)",
            "root" => " (the root certificate; no member's or device's was checked)",
            _ => "",
        };
        page.field("verdict", format!("{}{only}", page.paint(tone, &clean(&self.verdict))));
        for certificate in &self.certificates {
            page.line("");
            page.line(page.paint(Tone::Strong, &clean(&certificate.kind)));
            page.field("  subject", clean(&certificate.subject));
            page.field("  issuer", clean(&certificate.issuer));
            page.field("  serial", clean(&certificate.serial));
            page.field(
                "  valid",
                format!("{} to {}", page.time(certificate.not_before), page.time(certificate.not_after)),
            );
            page.field("  BLAKE3", clean(&certificate.fingerprint));
        }
        for crl in &self.crls {
            page.line("");
            page.line(page.paint(Tone::Strong, &format!("revocation list {}", crl.number)));
            page.field("  issuer", clean(&crl.issuer));
            page.field("  made", format!("{}, next by {}", page.time(crl.this_update), page.time(crl.next_update)));
            let revoked = if crl.revoked.is_empty() { "nothing".to_owned() } else { crl.revoked.join(", ") };
            page.field("  revokes", clean(&revoked));
        }
    }
}
