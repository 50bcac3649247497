import { apiContract, type ContractProgram } from "./api_contract.ts";
import { guestContract } from "./api_contract_guest.ts";
import { snapshotContract } from "./api_contract_snapshot.ts";
import { firecrackerLine, FirecrackerProcess } from "./testing/firecracker_process.ts";
import { inProcessStandIn } from "./testing/in_process.ts";

apiContract(inProcessStandIn);
guestContract(inProcessStandIn);
snapshotContract(inProcessStandIn);

const line = await firecrackerLine();
let sockets = 0;
if (line) {
  const real: ContractProgram = {
    name: "Firecracker",
    standIn: false,
    start: async (files) => {
      const process = await FirecrackerProcess.start(line, files.path(`api-${++sockets}.sock`));
      const ended = process.status.then(({ code }) => code);
      return {
        socket: process.socket,
        ended,
        [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
      };
    },
  };
  apiContract(real);
}
