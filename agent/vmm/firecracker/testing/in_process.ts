/** The stand-in inside a test's own process, and others that answer as a test says. */
import type { ContractFiles } from "./contract_files.ts";
import type { ContractProcess, ContractProgram } from "../api_contract.ts";
import { OTHER_TAP, TAP } from "./contract_calls.ts";
import { StandInMachine } from "./stand_in_machine.ts";
import { type Answerer, serveStandIn } from "./stand_in_server.ts";

let sockets = 0;

/** The stand-in, for the contract's tests. */
export const inProcessStandIn: ContractProgram = {
  name: "The stand-in",
  standIn: true,
  start: (files) => {
    const machine = new StandInMachine({ id: "wrenn", lentTaps: new Set([TAP, OTHER_TAP]) });
    const answer: Answerer = (...request) => machine.answer(...request);
    return Promise.resolve(serve(files, answer, () => machine[Symbol.dispose]()));
  },
};

/** A program that answers as it is told. */
export function answering(files: ContractFiles, answer: Answerer): ContractProcess {
  return serve(files, answer, () => {});
}

function serve(files: ContractFiles, answer: Answerer, close: () => void): ContractProcess {
  const socket = files.path(`api-${++sockets}.sock`);
  const server = serveStandIn(socket, answer);
  return {
    socket,
    ended: server.ended,
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      close();
    },
  };
}
