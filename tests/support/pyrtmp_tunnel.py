# SPDX-License-Identifier: MPL-2.0
"""An RTMPT server of other people's making: pyrtmp behind Quart, which is how pyrtmp's authors run it.

    pyrtmp_tunnel.py PORT FOLDER

What is published as NAME is written to FOLDER/NAME.part, and called NAME.flv once the session is over. As
with theirs, the polling byte begins with 0 and grows by ten, and there is no /fcs/ident2.
"""

import asyncio
import io
import os
import sys
import uuid

import quart
from pyrtmp import BufferedWriteTransport
from pyrtmp.flv import FLVFileWriter, FLVMediaType
from pyrtmp.rtmp import SimpleRTMPController


class Recorder(SimpleRTMPController):
    def __init__(self, folder):
        self.folder = folder
        self.name = None
        self.file = None

    async def on_ns_publish(self, session, message):
        self.name = os.path.join(self.folder, message.publishing_name)
        self.file = FLVFileWriter(output=self.name + ".part")
        await super().on_ns_publish(session, message)

    async def on_video_message(self, session, message):
        self.file.write(message.timestamp, message.payload, FLVMediaType.VIDEO)

    async def on_audio_message(self, session, message):
        self.file.write(message.timestamp, message.payload, FLVMediaType.AUDIO)

    async def cleanup(self, session):
        if self.file:
            self.file.close()
            os.rename(self.name + ".part", self.name + ".flv")
            self.file = None


class Protocol(asyncio.BaseProtocol):
    """What StreamWriter asks of the protocol below it."""

    async def _drain_helper(self):
        pass

    async def _get_close_waiter(self, _):
        pass


class Session:
    def __init__(self, folder, peer):
        loop = asyncio.get_running_loop()
        self.said = io.BytesIO()
        self.reader = asyncio.StreamReader(loop=loop)
        transport = BufferedWriteTransport(self.said, extra={"peername": peer})
        writer = asyncio.StreamWriter(transport, Protocol(), self.reader, loop)
        self.polling = 0
        self.task = loop.create_task(Recorder(folder).client_callback(self.reader, writer))

    async def reply(self):
        # The session's task gets as many turns as it has something to say.
        body = b""
        while True:
            await asyncio.sleep(0)
            part = self.said.getvalue()
            if not part:
                break
            self.said.seek(0)
            self.said.truncate()
            body += part
        polling, self.polling = self.polling, 0 if body else min(self.polling + 10, 255)
        return quart.Response(bytes([polling]) + body, content_type="application/x-fcs")


def serve(port, folder):
    app = quart.Quart("pyrtmp")
    sessions = {}

    @app.post("/open/<int:number>")
    async def begin(number):
        name = uuid.uuid4().hex
        sessions[name] = Session(folder, quart.request.scope["client"])
        return quart.Response(name, content_type="application/x-fcs")

    @app.post("/send/<name>/<int:number>")
    async def send(name, number):
        sessions[name].reader.feed_data(await quart.request.body)
        return await sessions[name].reply()

    @app.post("/idle/<name>/<int:number>")
    async def idle(name, number):
        return await sessions[name].reply()

    @app.post("/close/<name>/<int:number>")
    async def close(name, number):
        session = sessions.pop(name)
        session.reader.feed_eof()
        return await session.reply()

    app.run(host="127.0.0.1", port=port)


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2])
