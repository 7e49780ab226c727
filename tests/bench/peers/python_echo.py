"""An echo server as one writes it with asyncio streams. Argument: the port."""
import asyncio
import sys


async def echo(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()


async def main():
    server = await asyncio.start_server(
        echo, "127.0.0.1", int(sys.argv[1]), backlog=4096
    )
    await server.serve_forever()


asyncio.run(main())
