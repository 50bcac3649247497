/** Version of the guest agent's wire, told in `X-Envd-Version`; SDKs turn features on by it. */
export const ENVD_VERSION: string = "0.6.13";
