import { after } from "node:test";
import { CertificateFolder } from "../support/certificates.ts";
import { openQuic } from "./quic-rig.ts";
import { listenerSuite } from "./suite.ts";

const folder = new CertificateFolder();
folder.authority("ca");
folder.issue("server", "ca", "localhost", "DNS:localhost,IP:127.0.0.1");
after(() => folder.remove());

listenerSuite("QUIC", async () => openQuic(folder));
