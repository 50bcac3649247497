import { assertEquals } from "@std/assert";
import { networkSettings, sourcesOf } from "./apt_sources.ts";

const DEBIAN = `Types: deb deb-src
# a comment
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg`;
const SECURITY = `Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main`;
const VENDOR = `Types: deb
URIs: https://vendor.example/node
Suites: nodistro
Components: main`;

Deno.test("sourcesOf() keeps the stanzas of the release", () => {
  const files = [
    { name: "debian.sources", text: `${DEBIAN}\n\n${SECURITY}\n` },
    { name: "vendor.sources", text: VENDOR },
    { name: "off.sources", text: `Enabled: no\n${SECURITY}` },
    { name: "other.sources.disabled", text: SECURITY },
  ];
  assertEquals(sourcesOf("bookworm", files), {
    list: "",
    deb822: `${DEBIAN}\n\n${SECURITY}\n`,
  });
  assertEquals(sourcesOf("trixie", files), { list: "", deb822: "" });
});

Deno.test("sourcesOf() keeps the lines of the release", () => {
  const text = `# deb http://a/debian bookworm main
deb http://a/debian bookworm main contrib
deb [arch=amd64 signed-by=/k.gpg] http://a/debian bookworm-updates main # why
deb-src http://a/debian bookworm main
deb http://a/debian bookworm contrib
deb http://v/google cloud-sdk-bookworm main
`;
  assertEquals(
    sourcesOf("bookworm", [{ name: "sources.list", text }]).list,
    [
      "deb http://a/debian bookworm main contrib",
      "deb [arch=amd64 signed-by=/k.gpg] http://a/debian bookworm-updates main # why",
      "",
    ].join("\n"),
  );
});

Deno.test("networkSettings() takes proxies and checks, not the rest", () => {
  const dump = `APT "";
APT::Architecture "amd64";
Acquire::http::Proxy "http://proxy:3128";
Acquire::https::Verify-Peer "true";
Acquire::http "";
Acquire::Check-Valid-Until "false";
Acquire::Retries "3";
Acquire::cdrom::mount "/media/cdrom/";
DPkg::Post-Invoke:: "rm -rf /";
`;
  assertEquals(networkSettings(dump), [
    'Acquire::http::Proxy "http://proxy:3128";',
    'Acquire::https::Verify-Peer "true";',
    'Acquire::Check-Valid-Until "false";',
    'Acquire::Retries "3";',
  ]);
});
